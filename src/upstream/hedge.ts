/** Asking one after the other, and a second one beside the first where that is slow. */
import { abortWith } from '../abort.ts'

export type Lane = 'first' | 'second'

export interface Contest<C, T> {
  /** The next to be asked, once; `beside`: who is being asked meanwhile. */
  next(beside: C | undefined): C | undefined
  /** Resolves with `undefined` to go on with the next; whatever it throws ends everything. */
  ask(candidate: C, signal: AbortSignal): Promise<{ readonly result: T } | undefined>
  /** Milliseconds without an answer after which another is asked too. */
  patience(candidate: C): number
  /** Gets rid of a result that came too late. */
  discard(result: T): void
}

export interface Victory<C, T> {
  readonly result: T
  readonly lane: Lane
  /** Whoever was being asked in vain. */
  readonly loser: C | undefined
  /** Parts the result from the signal; to be called when nothing of it is on its way any more. */
  readonly release: () => void
}

interface Attempt<C> {
  readonly candidate: C
  readonly controller: AbortController
  readonly unlink: () => void
}

/** The first success; `undefined` when there was none and nobody is left to be asked. */
export function hedge<C, T>(
  contest: Contest<C, T>,
  signal: AbortSignal,
): Promise<Victory<C, T> | undefined> {
  return new Promise((resolve, reject) => {
    const lanes = new Map<Lane, Attempt<C>>()
    let timer: NodeJS.Timeout | undefined
    let isOver = false
    proceed('first')

    /** The lane goes on with the next candidate, or ends. */
    function proceed(lane: Lane): void {
      const candidate = contest.next(lanes.get(otherOf(lane))?.candidate)
      if (candidate !== undefined) start(lane, candidate)
      else if (lanes.size === 0) end(() => resolve(undefined))
    }

    function start(lane: Lane, candidate: C): void {
      const controller = new AbortController()
      const attempt = { candidate, controller, unlink: abortWith(controller, signal) }
      lanes.set(lane, attempt)
      if (lanes.size === 1) {
        clearTimeout(timer)
        timer = setTimeout(() => proceed(otherOf(lane)), contest.patience(candidate))
      }
      contest.ask(candidate, controller.signal).then(
        (answer) => {
          if (answer === undefined) moveOn(lane, attempt)
          else if (isOver) contest.discard(answer.result)
          else win(lane, attempt, answer.result)
        },
        (error: Error) => end(() => reject(error)),
      )
    }

    function moveOn(lane: Lane, { unlink }: Attempt<C>): void {
      unlink()
      lanes.delete(lane)
      if (!isOver) proceed(lane)
    }

    function win(lane: Lane, { unlink }: Attempt<C>, result: T): void {
      const loser = lanes.get(otherOf(lane))?.candidate
      lanes.delete(lane)
      end(() => resolve({ result, lane, loser, release: unlink }))
    }

    /** Whoever is still being asked is told to stop. */
    function end(settle: () => void): void {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      settle()
      for (const { controller, unlink } of lanes.values()) {
        unlink()
        controller.abort(new Error('Another answer came first.'))
      }
    }
  })
}

function otherOf(lane: Lane): Lane {
  return lane === 'first' ? 'second' : 'first'
}
