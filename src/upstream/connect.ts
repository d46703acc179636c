/** Makes the connections to an upstream, each to an address that was checked. */
import { lookup } from 'node:dns/promises'
import type { LookupAddress } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { buildConnector } from 'undici'
import { createAddressCheck, type AddressCheck } from '../addresses.ts'
import { UpstreamError } from './upstream.ts'

/** All addresses of a host name. */
export type Resolve = (hostname: string) => Promise<readonly LookupAddress[]>

export interface ConnectOptions {
  readonly name: string
  readonly networks: readonly string[]
  readonly ca: string | undefined
  /** Milliseconds until the connection must stand, name resolution and TLS included. */
  readonly timeout: number
}

/** Milliseconds until the next address of a host is tried. */
const ATTEMPT_TIMEOUT = 1000

export const resolveBySystem: Resolve = (hostname) => lookup(hostname, { all: true })

/**
 * Resolves each name once per connection and connects to an address of that very answer, so that
 * nothing can be swapped between check and use. TLS and `Host` keep the name.
 */
export function createConnector(
  { name, networks, ca, timeout }: ConnectOptions,
  resolve: Resolve,
): buildConnector.connector {
  const isAllowed = createAddressCheck(networks)
  const connect = buildConnector({
    timeout,
    allowH2: false,
    lookup: createCheckedLookup(name, isAllowed, resolve),
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: ATTEMPT_TIMEOUT,
    ...(ca !== undefined && { ca }),
  })

  return function connectChecked(options, callback) {
    // For a literal address the socket never asks the lookup function.
    if (isIP(options.hostname) !== 0 && !isAllowed(options.hostname)) {
      const refusal = refused(name, options.hostname, options.hostname)
      queueMicrotask(() => callback(refusal, null))
    } else {
      connect(options, callback)
    }
  }
}

/** Refuses a name when any of its addresses is forbidden (CVE-2026-58442). */
function createCheckedLookup(
  name: string,
  isAllowed: AddressCheck,
  resolve: Resolve,
): LookupFunction {
  const resolveOnce = shareRunning(resolve)

  return function checkedLookup(hostname, { all }, callback) {
    resolveOnce(hostname).then(
      (addresses) => {
        const forbidden = addresses.find(({ address }) => !isAllowed(address))
        const [first] = addresses
        if (forbidden !== undefined) callback(refused(name, hostname, forbidden.address), [])
        else if (first === undefined) callback(unresolved(hostname), [])
        else if (all === true) callback(null, [...addresses])
        else callback(null, first.address, first.family)
      },
      (error: NodeJS.ErrnoException) => callback(error, []),
    )
  }
}

/**
 * The system's resolver blocks one of the few threads that also read files. While it hangs for a
 * name, further connections to that name wait for the same answer.
 */
function shareRunning(resolve: Resolve): Resolve {
  const running = new Map<string, ReturnType<Resolve>>()
  return function resolveShared(hostname) {
    const shared = running.get(hostname)
    if (shared !== undefined) return shared
    const started = resolve(hostname).finally(() => running.delete(hostname))
    running.set(hostname, started)
    return started
  }
}

function refused(name: string, hostname: string, address: string): UpstreamError {
  const subject = hostname === address ? address : `${hostname} has the address ${address}, which`
  return new UpstreamError(
    'unavailable',
    `${subject} is not public, so nothing was sent to it. If ${name} lies in a private network, name that network under "networks" of this upstream.`,
  )
}

function unresolved(hostname: string): UpstreamError {
  return new UpstreamError('unavailable', `${hostname} has no address.`)
}
