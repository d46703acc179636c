/** Which states counted while a request was under way. */

/** What a request met. */
export interface Span<State> {
  /** In their order; while an edit is made, the one that it leads to may count already. */
  readonly states: readonly State[]
  /** It was sent after the last edit had returned, and answered before the next one began. */
  readonly isSettled: boolean
}

export interface Timeline<State> {
  now(): State
  /** To be called before a request is sent. @returns to be called when its answer has begun */
  watch(): () => Span<State>
  /**
   * @param possible may count from the beginning of the edit on
   * @param make resolves, when the edit has returned, with the state that it has led to
   */
  edit(possible: State, make: () => Promise<State>): Promise<void>
}

export function createTimeline<State>(first: State): Timeline<State> {
  const states = [first]
  let pending: State | undefined
  const now = (): State => states.at(-1) ?? first
  return {
    now,
    watch() {
      const from = states.length - 1
      const begun = pending !== undefined
      return () => {
        const met = [...states.slice(from), ...(pending === undefined ? [] : [pending])]
        return { states: met, isSettled: !begun && met.length === 1 }
      }
    },
    async edit(possible, make) {
      pending = possible
      try {
        states.push(await make())
      } finally {
        pending = undefined
      }
    },
  }
}
