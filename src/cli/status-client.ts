/** Asks a running mirror for its status. */
import type { MirrorStatus } from '../maintenance.ts'
import type { Traffic } from '../traffic.ts'
import { failureOf, readText, reasonOf, send } from './http-client.ts'
import type { MirrorAddress } from './mirror-address.ts'

/** As the mirror answers. */
export type OperatingStatus = MirrorStatus & { readonly traffic: Traffic }

/** Milliseconds that the whole answer may take. */
const DEADLINE = 5000
const MAX_BYTES = 4 * 1024 * 1024

/** @throws {Error} with a sentence for the operator */
export async function askStatus(
  address: MirrorAddress,
  token: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  const deadline = AbortSignal.timeout(DEADLINE)
  try {
    const question = { method: 'GET', path: '/status', token } as const
    const incoming = await send(address, question, AbortSignal.any([signal, deadline]))
    const text = await readText(incoming, MAX_BYTES)
    if (incoming.statusCode !== 200) throw new Error(refusal(incoming.statusCode, token))
    return text
  } catch (error) {
    const reason = deadline.aborted ? `no answer within ${DEADLINE} ms` : reasonOf(error)
    throw failureOf(`The mirror at ${address.name} does not tell its status: ${reason}.`, error)
  }
}

/** @throws {Error} when it is the answer of something else */
export function parseStatus(text: string): OperatingStatus {
  const status = parseJson(text) as Partial<OperatingStatus> | null | undefined
  const isStatus =
    typeof status?.store?.bytes === 'number' &&
    typeof status.fills?.running === 'number' &&
    Array.isArray(status.fills.downloads) &&
    status.fills.downloads.every((it) => typeof it?.bytes === 'number') &&
    typeof status.traffic?.clientBytes === 'number' &&
    typeof status.scrub?.checkedBytes === 'number' &&
    Array.isArray(status.upstreams) &&
    status.upstreams.every(isUpstream)
  if (!isStatus) throw new Error('What answered there is no mirror, or one of another version.')
  return status as OperatingStatus
}

function isUpstream(value: OperatingStatus['upstreams'][number] | null): boolean {
  return (
    Array.isArray(value?.endpoints) &&
    value.endpoints.every((it) => typeof it?.origin === 'string') &&
    Array.isArray(value.accounts) &&
    value.accounts.every((it) => typeof it?.account === 'string')
  )
}

function refusal(status: number | undefined, token: string | undefined): string {
  if (status === 403 && token !== undefined) {
    return 'it answered 403, so the owner of the token lacks the right to it: "operate" is needed'
  }
  if (status !== 401) return `it answered ${status}`
  return token === undefined
    ? 'it wants to know who asks; say --token-file, or set ENTREPOT_TOKEN'
    : 'it does not accept the token, which has ended, was removed, or is of another mirror'
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
