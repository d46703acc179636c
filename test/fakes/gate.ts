/** A door in the way of an answer: "slow" without timers, so that a test decides what happens first. */

export interface Gate {
  /** Resolves when something stands before the gate: what precedes it is on the wire. */
  readonly reached: Promise<void>
  /** Resolves when the gate has been opened; it never closes again. */
  readonly opened: Promise<void>
  open(): void
  /** Called by whoever has to wait here. */
  pass(): Promise<void>
}

export function createGate(): Gate {
  let arrive!: () => void
  let open!: () => void
  const reached = new Promise<void>((resolve) => (arrive = resolve))
  const opened = new Promise<void>((resolve) => (open = resolve))
  return {
    reached,
    opened,
    open,
    pass() {
      arrive()
      return opened
    },
  }
}
