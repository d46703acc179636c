/**
 * Refused pulls, remembered for those who decide. Written a little later and together, so that a flood
 * of refusals costs a few writes a second, and never a wait for whoever is refused.
 */
import { createHmac } from 'node:crypto'
import { countedAddress } from '../addresses.ts'
import type { Principal } from '../access/principal.ts'
import {
  REQUESTS_PER_CALLER,
  type AccessRequest,
  type ControlCatalog,
  type Refusal,
} from '../catalog/control-catalog.ts'
import type { Log } from '../log.ts'
import { loggable } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Caller, RefusedPull } from './control.ts'

export interface Refusals {
  /** @returns the id of the request, the same whenever this caller is refused this name */
  note(caller: Caller, pull: RefusedPull): string
  /** Resolves when everything that was noted is written, or given up. */
  idle(): Promise<void>
  close(): Promise<void>
}

interface Dependencies {
  readonly catalog: Pick<ControlCatalog, 'noteRefusals'>
  /** Makes ids that nobody can guess. */
  readonly secret: Buffer
  /** Told of those that nobody has asked for before. */
  readonly onNew: (requests: readonly AccessRequest[]) => void
  readonly metrics: Pick<Metrics, 'accessRequested'>
  readonly log: Log
  readonly now: () => number
}

/** Milliseconds for which refusals are gathered. */
const GATHERED_FOR = 500
/** Different ones that are gathered; more in that time are not remembered, only refused. */
const MAX_GATHERED = 2000

export function createRefusals(dependencies: Dependencies): Refusals {
  const { catalog, secret, onNew, metrics, log, now } = dependencies
  let gathered = new Map<string, Refusal>()
  let gatheredBy = new Map<string, number>()
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> = Promise.resolve()

  function note({ principal, address }: Caller, pull: RefusedPull): string {
    const user = nameOf(principal)
    const by = user === undefined ? `address ${countedAddress(address)}` : `user ${user}`
    const id = idOf(secret, by, pull)
    const known = gathered.get(id)
    if (known) {
      gathered.set(id, { ...known, count: known.count + 1, lastAt: now() })
    } else if (mayGather(by)) {
      const at = now()
      const { name, tag, reason } = pull
      const userAgent = loggable(pull.userAgent)
      const seen = { count: 1, firstAt: at, lastAt: at }
      gathered.set(id, { id, user, address, name, tag, reason, userAgent, ...seen })
    }
    timer ??= setTimeout(flush, GATHERED_FOR)
    timer.unref()
    return id
  }

  /** Nobody takes the places of the others. */
  function mayGather(by: string): boolean {
    const own = gatheredBy.get(by) ?? 0
    if (own >= REQUESTS_PER_CALLER || gathered.size >= MAX_GATHERED) return false
    gatheredBy.set(by, own + 1)
    return true
  }

  function flush(): void {
    clearTimeout(timer)
    timer = undefined
    const batch = [...gathered.values()]
    gathered = new Map()
    gatheredBy = new Map()
    if (batch.length > 0) writing = writing.then(() => write(batch))
  }

  async function write(batch: readonly Refusal[]): Promise<void> {
    try {
      const found = await catalog.noteRefusals(batch)
      if (found.length === 0) return
      metrics.accessRequested(found.length)
      onNew(found)
    } catch (error) {
      log.warn({ err: error }, 'refused pulls could not be remembered')
    }
  }

  async function idle(): Promise<void> {
    flush()
    await writing
  }

  return { note, idle, close: idle }
}

/** A robot may be called like a user, who cannot have a colon in the name. */
function nameOf({ kind, name }: Principal): string | undefined {
  if (kind === 'anonymous') return undefined
  return kind === 'robot' ? `robot:${name}` : name
}

const ID_LENGTH = 10

function idOf(secret: Buffer, by: string, { name, tag }: RefusedPull): string {
  const text = `${by}|${name}${tag === undefined ? '' : `:${tag}`}`
  const code = createHmac('sha256', secret).update(text).digest()
  return `r-${[...code.subarray(0, ID_LENGTH)].map((byte) => LETTERS[byte % LETTERS.length]).join('')}`
}

/** Without those that are mistaken for each other when somebody reads them aloud. */
const LETTERS = 'abcdefghjkmnpqrstuvwxyz23456789'
