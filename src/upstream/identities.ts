/** Where each configured credential gets its identity from. */
import { createFixedIdentity, type Credential, type IdentitySource } from './credential.ts'
import { createAskHelper, helperServer, isHelperName } from './credential-helper.ts'
import { createHelperIdentity } from './helper-identity.ts'

export interface Identities {
  /** @throws {TypeError} when the name of the helper is malformed */
  create(credential: Credential, endpoint: URL): IdentitySource
  /** Ends the programs that are running. */
  close(reason: Error): void
}

/** @param now milliseconds of a monotonic clock */
export function createIdentities(now: () => number): Identities {
  const shutdown = new AbortController()
  const ask = createAskHelper()
  return {
    create(credential, endpoint) {
      if (!('helper' in credential)) return createFixedIdentity(credential)
      const { helper } = credential
      if (!isHelperName(helper)) throw new TypeError(`${helper} is no name of a credential helper.`)
      const server = helperServer(endpoint)
      return createHelperIdentity(helper, server, { ask, now, shutdown: shutdown.signal })
    },
    close: (reason) => shutdown.abort(reason),
  }
}
