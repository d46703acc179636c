/** The metrics of all processes as one page; what a worker has counted stays when it is gone. */
import { addUp, renderSum, type MetricsPage, type MetricsSnapshot } from '../metrics.ts'

export interface MetricsSum {
  /** @param ask for a snapshot of now */
  add(worker: number, ask: (signal: AbortSignal) => Promise<MetricsSnapshot>): void
  remove(worker: number): void
  /** Asks all; of one that does not answer, what it said last counts. */
  page(): Promise<MetricsPage>
  /** Likewise, as data; without what is a state and no sum. */
  totals(): Promise<MetricsSnapshot>
  /** Asks all, so that little is lost of one that dies. */
  refresh(): Promise<void>
}

interface Member {
  readonly ask: (signal: AbortSignal) => Promise<MetricsSnapshot>
  last: MetricsSnapshot
}

/** Milliseconds that the page waits for a worker. */
const PATIENCE = 2000

/** @param own of the main process */
export function createMetricsSum(own: () => Promise<MetricsSnapshot>): MetricsSum {
  const members = new Map<number, Member>()
  let departed: Promise<MetricsSnapshot> = Promise.resolve([])

  async function refresh(): Promise<void> {
    const signal = AbortSignal.timeout(PATIENCE)
    await Promise.all([...members.values()].map((member) => refreshOne(member, signal)))
  }

  async function all(): Promise<MetricsSnapshot[]> {
    await refresh()
    // What leaves while the rest is read must be in one of both, so all is taken in one go.
    const parts = [...members.values()].map(({ last }) => last)
    const before = departed
    return [await own(), await before, ...parts]
  }

  return {
    add: (worker, ask) => void members.set(worker, { ask, last: [] }),
    remove(worker) {
      const { last } = members.get(worker) ?? {}
      members.delete(worker)
      if (last) departed = departed.then((before) => addUp([before, last]))
    },
    page: async () => renderSum(await all()),
    totals: async () => addUp(await all()),
    refresh,
  }
}

async function refreshOne(member: Member, signal: AbortSignal): Promise<void> {
  try {
    member.last = await member.ask(signal)
  } catch {
    // It is busy or gone: what it said before counts.
  }
}
