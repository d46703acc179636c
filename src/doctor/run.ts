/** Runs checks: those that wait for no other at the same time, each with a deadline, told in order. */
import { untilAborted } from '../abort.ts'
import { failed, skipped, type Finding, type Verdict } from './finding.ts'

export interface Check {
  readonly name: string
  /** Milliseconds after which it counts as failed; 20 s unless said otherwise. */
  readonly deadline?: number
  /** Checks before it in the list: where one of them has failed or was skipped, this one is skipped. */
  readonly needs?: readonly Check[]
  /** What it throws counts as failed, with the message as what was found. */
  run(signal: AbortSignal): Promise<Verdict | readonly Verdict[]>
}

const DEADLINE = 20_000

/**
 * @param onFinding told of each finding, in the order of the checks
 * @throws what the signal was aborted with
 */
export async function runChecks(
  checks: readonly Check[],
  signal: AbortSignal,
  onFinding: (finding: Finding) => void,
): Promise<void> {
  const running = new Map<Check, Promise<readonly Verdict[]>>()
  for (const check of checks) running.set(check, runAfter(check, running, signal))
  for (const [{ name }, verdicts] of running) {
    const settled = await verdicts
    signal.throwIfAborted()
    for (const verdict of settled) onFinding({ check: name, ...verdict })
  }
}

async function runAfter(
  check: Check,
  running: ReadonlyMap<Check, Promise<readonly Verdict[]>>,
  signal: AbortSignal,
): Promise<readonly Verdict[]> {
  for (const needed of check.needs ?? []) {
    const verdicts = (await running.get(needed)) ?? []
    if (verdicts.some(({ state }) => state === 'failed' || state === 'skipped')) {
      return [skipped(`not looked at: "${needed.name}" comes first`)]
    }
  }
  return runOne(check, signal)
}

async function runOne(check: Check, signal: AbortSignal): Promise<readonly Verdict[]> {
  const { deadline = DEADLINE } = check
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), deadline)
  const both = AbortSignal.any([signal, late.signal])
  try {
    const verdict = await untilAborted(check.run(both), both)
    return [verdict].flat()
  } catch (error) {
    if (late.signal.aborted) return [tooSlow(deadline)]
    const reason = error instanceof Error ? error.message : String(error)
    return [failed(reason, 'This was not expected here: look at the log of the mirror.')]
  } finally {
    clearTimeout(timer)
  }
}

function tooSlow(milliseconds: number): Verdict {
  return failed(
    `no result within ${milliseconds / 1000} s`,
    'Something on the way takes packets and says nothing, such as a firewall, or is too busy.',
  )
}
