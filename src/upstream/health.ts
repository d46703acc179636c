/** How well an endpoint has fared of late. */
import { createCoolDown } from './cool-down.ts'
import type { UpstreamError } from './upstream.ts'

/**
 * `failing`: about half of its recent answers were failures, or came after those of an endpoint that
 * was asked later. All of it fades, so that whoever was put behind is tried again some time.
 */
type Condition = 'well' | 'failing' | 'distrusted'

export interface Health {
  readonly coolDown: ReturnType<typeof createCoolDown>
  condition(): Condition
  /** Milliseconds. */
  distrustedFor(): number
  /** Milliseconds that an answer usually takes; `undefined` when there was none of late. */
  usualDelay(): number | undefined
  /** @param delay milliseconds that the answer took */
  answered(delay: number): void
  failed(error: UpstreamError): void
  /** Another that was asked later has answered first. */
  outrun(): void
  /** It has sent wrong bytes. */
  distrust(): void
}

/** The part that the latest answer has in an average. */
const WEIGHT = 0.4
const FAILING = 0.5
/** Milliseconds in which the memory of failures loses half of its weight. */
const HALF_LIFE = 60_000
/** Milliseconds after which a delay is no longer believed. */
const DELAY_MEMORY = 5 * 60_000
const DISTRUST = 5 * 60_000

/** @param now milliseconds of a monotonic clock */
export function createHealth(now: () => number): Health {
  const coolDown = createCoolDown(now)
  let failures = { share: 0, at: 0 }
  let delay: { readonly average: number; readonly at: number } | undefined
  let distrustedUntil = 0

  const distrustedFor = (): number => Math.max(distrustedUntil - now(), 0)
  const share = (): number => failures.share * 0.5 ** ((now() - failures.at) / HALF_LIFE)
  const usualDelay = (): number | undefined =>
    delay !== undefined && now() - delay.at < DELAY_MEMORY ? delay.average : undefined

  function count(failure: 0 | 1): void {
    failures = { share: mix(share(), failure), at: now() }
  }

  return {
    coolDown,
    distrustedFor,
    usualDelay,

    condition() {
      if (distrustedFor() > 0) return 'distrusted'
      return share() > FAILING ? 'failing' : 'well'
    },

    answered(latest) {
      count(0)
      coolDown.answered()
      delay = { average: mix(usualDelay() ?? latest, latest), at: now() }
    },

    failed(error) {
      count(1)
      coolDown.failed(error)
    },

    outrun: () => count(1),
    distrust: () => void (distrustedUntil = now() + DISTRUST),
  }
}

function mix(average: number, latest: number): number {
  return average * (1 - WEIGHT) + latest * WEIGHT
}
