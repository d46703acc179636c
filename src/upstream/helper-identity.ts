/** The identity that a credential helper gives: asked for once however many wait, kept for a while. */
import type { Identity, IdentitySource } from './credential.ts'
import type { AskHelper } from './credential-helper.ts'
import { untilAborted } from '../abort.ts'

/** Milliseconds; the shortest that a cloud's credentials live is an hour. */
const KEPT = 10 * 60_000

interface HelperIdentityDependencies {
  readonly ask: AskHelper
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
  /** Ends a program that runs; nobody else's signal does, because others wait for the same. */
  readonly shutdown: AbortSignal
}

export function createHelperIdentity(
  helper: string,
  server: string,
  { ask, now, shutdown }: HelperIdentityDependencies,
): IdentitySource {
  let known: { readonly identity: Identity | undefined; readonly until: number } | undefined
  let running: Promise<Identity | undefined> | undefined

  async function fetchIdentity(): Promise<Identity | undefined> {
    const identity = await ask(helper, server, shutdown)
    known = { identity, until: now() + KEPT }
    return identity
  }

  return {
    get(signal) {
      if (known !== undefined && now() < known.until) return Promise.resolve(known.identity)
      running ??= fetchIdentity().finally(() => (running = undefined))
      return untilAborted(running, signal)
    },

    refused(identity) {
      // Another may have taken its place meanwhile, which is then not asked for again.
      if (known?.identity === identity) known = undefined
      return true
    },
  }
}
