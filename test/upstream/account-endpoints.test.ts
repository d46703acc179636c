/** Endpoints of different owners: an account is shown to those that it is for, and to no other. */
import { expect, test } from 'vitest'
import type { Credential } from '../../src/upstream/credential.ts'
import {
  authorizationsOf,
  createTestUpstream,
  failureOf,
  patience,
  REPOSITORY,
  serve,
  TAG,
  type LoopbackServer,
} from './loopback.ts'
import { BASIC, bearerRegistry, credentials, guard, sendJson, serveWithTokens } from './registry.ts'

const [account = { username: '', password: '' }] = credentials
const down = (server: LoopbackServer) => server.requests.length
const basicRegistry = guard(
  () => 'Basic realm="registry"',
  () => false,
)

/** Asks for a manifest; both endpoints refuse, so that both are asked. */
async function ask(endpoints: readonly string[], credential: Credential) {
  const { upstream, seen } = createTestUpstream(endpoints, { credentials: [credential] })
  const failure = await failureOf(upstream.headManifest(REPOSITORY, TAG, patience()))
  return { failure, seen, accounts: upstream.state().accounts.map((it) => it.account) }
}
