/** Whether the mirror can be reached from here: its name, its port, its certificate. */
import type { LookupAddress } from 'node:dns'
import { isIP } from 'node:net'
import { createNetworkCheck } from '../addresses.ts'
import { chainVerdict, untrustedVerdict } from './certificate.ts'
import { failed, ok, warning, type Verdict } from './finding.ts'
import { isTrusted, type MirrorClient } from './mirror-client.ts'
import { codeOf, reasonOf } from './network-words.ts'
import type { Check } from './run.ts'

export interface ReachChecks {
  readonly all: readonly Check[]
  /** What everything that asks the mirror needs. */
  readonly last: Check
}

/** Milliseconds for one connection. */
const CONNECT_DEADLINE = 5000
const MAX_ADDRESSES = 8

/** Also what connects to the own host: 0.0.0.0 and ::. */
const isOwnHost = createNetworkCheck(['127.0.0.0/8', '::1', '0.0.0.0', '::'])

/** @param now milliseconds since the epoch */
export function createReachChecks(
  client: MirrorClient,
  { needs, now }: { readonly needs: readonly Check[]; readonly now: () => number },
): ReachChecks {
  const { host, name, secure } = client.place
  let addresses: readonly string[] = []

  const lookup: Check = {
    name: 'name',
    deadline: 10_000,
    needs,
    async run() {
      if (host === undefined) return ok(`${name} needs no name`)
      if (isIP(host) !== 0) {
        addresses = [host]
        return ok(`${host} is an address, and needs no name`)
      }
      try {
        const found = await client.resolve(host)
        addresses = found.slice(0, MAX_ADDRESSES).map(({ address }) => address)
        return judgeAddresses(host, found)
      } catch (error) {
        return unknownName(host, reasonOf(error))
      }
    },
  }
  const connection: Check = {
    name: 'connection',
    needs: [lookup],
    async run(signal) {
      const targets = host === undefined ? [undefined] : addresses
      return judgeConnections(
        name,
        await Promise.all(targets.map((address) => tryConnection(client, address, signal))),
      )
    },
  }
  const certificate: Check = {
    name: 'certificate',
    needs: [connection],
    run: (signal) => checkCertificate(client, now(), signal),
  }
  return secure
    ? { all: [lookup, connection, certificate], last: certificate }
    : { all: [lookup, connection], last: connection }
}

function judgeAddresses(host: string, found: readonly LookupAddress[]): Verdict {
  if (found.length === 0) return unknownName(host, 'it has no address')
  const list = found.map(({ address }) => address).join(', ')
  const own = found.find(({ address }) => isOwnHost(address))
  const isLocal = host === 'localhost' || host.endsWith('.localhost')
  if (own === undefined || isLocal) return ok(`${host} is ${list}`)
  return warning(
    `${host} is ${list}, and ${own.address} is the host that asks`,
    `On a node that is not the mirror this leads nowhere: look for ${host} in /etc/hosts.`,
  )
}

function unknownName(host: string, reason: string): Verdict {
  return failed(
    `${host} cannot be looked up: ${reason}`,
    'Add the name to your DNS or to /etc/hosts, or use the address of the mirror.',
  )
}

interface Attempt {
  readonly address: string | undefined
  /** `undefined`: it can be reached. */
  readonly reason: string | undefined
}

async function tryConnection(
  client: MirrorClient,
  address: string | undefined,
  signal: AbortSignal,
): Promise<Attempt> {
  const late = AbortSignal.timeout(CONNECT_DEADLINE)
  try {
    const socket = await client.connect(AbortSignal.any([signal, late]), address)
    socket.destroy()
    return { address, reason: undefined }
  } catch (error) {
    const reason = late.aborted ? `no answer in ${CONNECT_DEADLINE / 1000} s` : reasonOf(error)
    return { address, reason }
  }
}

function judgeConnections(name: string, attempts: readonly Attempt[]): Verdict {
  const bad = attempts.filter(({ reason }) => reason !== undefined)
  const said = bad.map(({ address, reason }) =>
    address === undefined ? reason : `${address}: ${reason}`,
  )
  if (bad.length === 0) return ok(`${name} can be reached`)
  if (bad.length < attempts.length) {
    return warning(
      `${name} can be reached, but not at all its addresses: ${said.join('; ')}`,
      'Take the others out of the DNS: clients that try them first wait for nothing.',
    )
  }
  return failed(
    `${name} cannot be reached: ${said.join('; ')}`,
    'See whether the mirror runs there (entrepot status), listens on an address that others can reach ("listen"), and whether a firewall is between.',
  )
}

async function checkCertificate(
  client: MirrorClient,
  now: number,
  signal: AbortSignal,
): Promise<Verdict> {
  const { place } = client
  try {
    const shown = await client.connectTls(signal)
    try {
      return isTrusted(shown, place.fingerprints)
        ? chainVerdict(shown, place, now)
        : untrustedVerdict(shown, place, now)
    } finally {
      shown.socket.destroy()
    }
  } catch (error) {
    return failed(`no TLS came about: ${reasonOf(error)}`, handshakeAdvice(codeOf(error)))
  }
}

function handshakeAdvice(code: string): string {
  return /WRONG_VERSION|PACKET_LENGTH|HTTP_REQUEST|UNKNOWN_PROTOCOL/.test(code)
    ? 'What listens there speaks plain HTTP: use http:// here and at the clients, or give the mirror a certificate ("tls").'
    : 'See whether the mirror has a certificate ("tls"), and whether something else is in front of it.'
}
