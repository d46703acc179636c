/** What the clients of a cell do, in trouble and after it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type ClientResponse, request } from '../../support/client.ts'
import type { Mirror } from '../../support/mirror.ts'
import { until, within } from '../../support/until.ts'
import { type Cell, entryOf, isHarmless, reachesBlobs } from './cell.ts'
import { faultsOf, type Question } from './witness.ts'

/**
 * Milliseconds after which an answer counts as hanging. A download ends when several connections in a
 * row have brought nothing, each within its time limits: on an idle machine in less than half of it.
 */
export const DEADLINE = 20_000
/** Milliseconds after which a mended upstream must be good again: refusals are remembered for ten seconds. */
const RECOVERY = 15_000
const RETRY_PAUSE = 100

interface Asked extends Question {
  readonly path: string
}

type Ask = (asked: Asked) => Promise<ClientResponse | undefined>

/** @returns violations, in words */
export async function pullInTrouble(
  mirror: Mirror,
  cell: Cell,
  hasHappened: () => boolean,
): Promise<string[]> {
  const violations: string[] = []
  const ask: Ask = (asked) => askInTrouble(mirror, cell, asked, violations)
  const crowd = async (): Promise<void> => {
    // What precedes the phase of the trouble is pulled while all is well.
    if (entryOf(cell) === 'blob') await ask(manifestOf(cell, 'GET', 'v1'))
    await Promise.all(Array.from({ length: cell.clients }, (_, index) => pullBy(cell, index, ask)))
  }
  // On a busy machine the time limits may end a pull before its trouble begins.
  const once = async (): Promise<boolean> => {
    await crowd()
    return hasHappened() || sleep(RETRY_PAUSE, false)
  }
  const what = `${cell.name}: the trouble happens`
  await until(once, { deadlineMs: RECOVERY, what }).catch((error: unknown) =>
    violations.push(String(error)),
  )
  return violations
}

/** As far as it gets. Half of the clients ask for the manifest by its tag, the others by its digest. */
async function pullBy(cell: Cell, index: number, ask: Ask): Promise<void> {
  const entry = entryOf(cell)
  if (entry !== 'blob') {
    let reference = index % 2 === 0 ? 'v1' : cell.image.digest
    if (entry === 'head') {
      const head = await ask(manifestOf(cell, 'HEAD', 'v1'))
      if (head?.status !== 200) return
      reference = head.headers['docker-content-digest'] ?? reference
    }
    const manifest = await ask(manifestOf(cell, 'GET', reference))
    if (manifest?.status !== 200) return
  }
  if (reachesBlobs(cell)) await ask(layerOf(cell))
}

async function askInTrouble(
  mirror: Mirror,
  cell: Cell,
  { path, ...question }: Asked,
  violations: string[],
): Promise<ClientResponse | undefined> {
  const { method, what } = question
  const asked = request({ url: mirror.url, path, method, idleMs: DEADLINE })
  try {
    const answer = await within(asked, { deadlineMs: DEADLINE, what })
    const faults = faultsOf(question, answer)
    const failed = answer.status !== 200 || !answer.complete
    if (failed && isHarmless(cell)) faults.push(`${what}: is answered ${answer.status}, or cut`)
    violations.push(...faults.map((fault) => `${cell.name}: ${fault}`))
    return answer
  } catch (error) {
    asked.catch(() => undefined)
    violations.push(`${cell.name}: ${what}: no answer: ${String(error)}`)
    return undefined
  }
}

function manifestOf(
  { upstream, repository, image }: Cell,
  method: 'GET' | 'HEAD',
  reference: string,
): Asked {
  return {
    what: `${method} manifest`,
    method,
    path: `/v2/${upstream}/${repository}/manifests/${reference}`,
    truth: image.bytes,
    mediaType: image.mediaType,
  }
}

function layerOf({ upstream, repository, layer }: Cell): Asked {
  return {
    what: 'GET layer',
    method: 'GET',
    path: `/v2/${upstream}/${repository}/blobs/${layer.digest}`,
    truth: layer.bytes,
  }
}

/**
 * The next pulls are right, at the latest when what the mirror remembers of the trouble is over.
 * @returns violations, in words
 */
export async function pullAfterwards(mirror: Mirror, cells: readonly Cell[]): Promise<string[]> {
  const outcomes = await Promise.allSettled(cells.map((cell) => pullRight(mirror, cell)))
  return outcomes
    .filter((outcome) => outcome.status === 'rejected')
    .map(({ reason }) => String(reason))
}

async function pullRight(mirror: Mirror, cell: Cell): Promise<void> {
  let failure: unknown
  const attempt = async (): Promise<boolean> => {
    try {
      const { digest, blobs } = await mirror.pull(`${cell.upstream}/${cell.repository}`, 'v1')
      return digest === cell.image.digest && blobs.length === cell.image.blobs.length
    } catch (error) {
      failure = error
      return sleep(RETRY_PAUSE, false)
    }
  }
  await until(attempt, { deadlineMs: RECOVERY }).catch(() => {
    throw new Error(`${cell.name}: is not right when all is well again: ${String(failure)}`)
  })
}
