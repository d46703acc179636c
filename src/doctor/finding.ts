/** What a check comes to. */

export type State = 'ok' | 'warning' | 'failed' | 'skipped'

export interface Verdict {
  readonly state: State
  /** One line: what is the case. */
  readonly found: string
  /** What to do about it. */
  readonly advice?: string
}

export interface Finding extends Verdict {
  /** Name of the check. */
  readonly check: string
}

export function ok(found: string): Verdict {
  return { state: 'ok', found }
}

export function warning(found: string, advice: string): Verdict {
  return { state: 'warning', found, advice }
}

export function failed(found: string, advice: string): Verdict {
  return { state: 'failed', found, advice }
}

export function skipped(found: string): Verdict {
  return { state: 'skipped', found }
}
