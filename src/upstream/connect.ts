/** Makes the connections to an upstream, each to an address that was checked. */
import { lookup } from 'node:dns/promises'
import type { LookupAddress } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { TLSSocket } from 'node:tls'
import { buildConnector } from 'undici'
import { createAddressCheck, type AddressCheck } from '../addresses.ts'
import { LRUCache } from '../lru.ts'
import { createLanding } from './landing.ts'
import { slabs } from './slabs.ts'
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
const MAX_SESSIONS = 100

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
  const lookupChecked = createCheckedLookup(name, isAllowed, resolve)
  /** TLS sessions, by host: the next connection to it needs no whole handshake. */
  const sessions = new LRUCache<string, Buffer>({ max: MAX_SESSIONS })

  /** A connector for one connection, as each reads into memory of its own. */
  function connect(options: buildConnector.Options, callback: buildConnector.Callback): void {
    const { hostname } = options
    // Empty or null where nobody has named another. Whoever resumes a session is not asked for its name.
    const host = options.servername || hostname
    const landing = createLanding(slabs)
    const session = sessions.get(host)
    const connectOnce = buildConnector({
      timeout,
      allowH2: false,
      lookup: lookupChecked,
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: ATTEMPT_TIMEOUT,
      onread: landing.onread,
      maxCachedSessions: 0,
      ...(session !== undefined && { session }),
      ...(ca !== undefined && { ca }),
    })
    connectOnce(options, (...[error, socket]) => {
      if (error !== null) return callback(error, null)
      if (!landing.opened(socket)) {
        socket.destroy()
        return callback(spokeFirst(hostname), null)
      }
      if (socket instanceof TLSSocket) {
        socket.on('session', (given) => void sessions.set(host, given))
      }
      callback(null, socket)
    })
  }

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

function spokeFirst(hostname: string): UpstreamError {
  return new UpstreamError('unavailable', `${hostname} spoke before it was asked anything.`)
}

function unresolved(hostname: string): UpstreamError {
  return new UpstreamError('unavailable', `${hostname} has no address.`)
}
