/** From which level on lines are written: what the configuration says, or for a while what an operator says. */
import type { Log, LogLevel } from './log.ts'

export interface LogLevelState {
  readonly level: LogLevel
  /** What counts when no operator says anything. */
  readonly configured: LogLevel
  /** Milliseconds since the epoch at which that counts again; `undefined`: no such time was set. */
  readonly until: number | undefined
}

/** What an operator can do about it, from whichever process. */
export interface LogLevelControl {
  state(): Promise<LogLevelState>
  /**
   * Counts at once, in all processes, whatever the configuration says.
   * @param milliseconds for which it counts; `undefined`: until the next start, or `reset`
   */
  set(level: LogLevel, milliseconds: number | undefined): Promise<LogLevelState>
  /** What the configuration says counts again. */
  reset(): Promise<LogLevelState>
}

export interface LogLevels extends LogLevelControl {
  current(): LogLevel
  /** @param level of the configuration */
  configure(level: LogLevel): void
  /** To be told of each change from now on. */
  onChange(tell: (level: LogLevel) => void): void
  close(): void
}

interface LogLevelOptions {
  /** Children that it has by now do not follow. */
  readonly log: Log
  readonly configured: LogLevel
  /** Milliseconds since the epoch. */
  readonly now?: () => number
}

/** Milliseconds that a timer of Node can wait at most: nearly 25 days. */
const MAX_DELAY = 2 ** 31 - 1

export function createLogLevels({ log, configured, now = Date.now }: LogLevelOptions): LogLevels {
  const listeners = new Set<(level: LogLevel) => void>()
  let base = configured
  let said: { readonly level: LogLevel; readonly until: number | undefined } | undefined
  let timer: NodeJS.Timeout | undefined
  const current = (): LogLevel => said?.level ?? base

  function apply(): void {
    const level = current()
    if (log.level === level) return
    log.level = level
    for (const tell of listeners) tell(level)
  }

  function say(changed: typeof said, milliseconds?: number): void {
    clearTimeout(timer)
    said = changed
    if (milliseconds !== undefined) endIn(milliseconds)
    apply()
  }

  /** In steps where that is further away than a timer reaches, which would then end at once. */
  function endIn(milliseconds: number): void {
    const rest = milliseconds - MAX_DELAY
    timer = setTimeout(
      () => (rest > 0 ? endIn(rest) : say(undefined)),
      Math.min(milliseconds, MAX_DELAY),
    )
    timer.unref()
  }

  const state = (): LogLevelState => ({ level: current(), configured: base, until: said?.until })

  apply()
  return {
    current,
    state: async () => state(),
    async set(level, milliseconds) {
      const until = milliseconds === undefined ? undefined : now() + milliseconds
      say({ level, until }, milliseconds)
      return state()
    },
    async reset() {
      say(undefined)
      return state()
    },
    configure(level) {
      base = level
      apply()
    },
    onChange: (tell) => void listeners.add(tell),
    close: () => clearTimeout(timer),
  }
}
