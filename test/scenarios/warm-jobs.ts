/** Warm jobs on a running mirror, and what they told. */
import type { WarmEvent, WarmSummary } from '../../src/warm/events.ts'
import type { WarmJob } from '../../src/warm/job.ts'
import { parsePlatforms } from '../../src/warm/platforms.ts'
import type { ImageSource } from '../../src/warm/sources.ts'
import type { Mirror } from '../support/mirror.ts'

export const BLOBS = /\/blobs\//
export const MANIFESTS = /\/manifests\//

export interface Told {
  readonly summary: WarmSummary
  readonly events: readonly WarmEvent[]
  /** By image, why it failed. */
  readonly failures: Readonly<Record<string, string>>
  readonly of: <Name extends WarmEvent['event']>(
    name: Name,
  ) => Extract<WarmEvent, { event: Name }>[]
}

export interface JobOptions extends Partial<Omit<WarmJob, 'sources' | 'platforms'>> {
  readonly platforms?: readonly string[]
  readonly signal?: AbortSignal
  readonly lookEvery?: number
  readonly onEvent?: (event: WarmEvent) => void
}

/** @param sources text is an image */
export async function warm(
  mirror: Mirror,
  sources: readonly (string | ImageSource)[],
  options: JobOptions = {},
): Promise<Told> {
  const { platforms = ['linux/amd64'], signal = new AbortController().signal, ...more } = options
  const events: WarmEvent[] = []
  const summary = await mirror.app.warm(
    {
      sources: sources.map((it) => (typeof it === 'string' ? { image: it } : it)),
      platforms: parsePlatforms(platforms),
      concurrency: more.concurrency ?? 4,
      dryRun: more.dryRun ?? false,
    },
    {
      signal,
      onEvent(event) {
        events.push(event)
        more.onEvent?.(event)
      },
      ...(more.lookEvery !== undefined && { lookEvery: more.lookEvery }),
    },
  )
  const of = <Name extends WarmEvent['event']>(name: Name) =>
    events.filter((it): it is Extract<WarmEvent, { event: Name }> => it.event === name)
  const failures = Object.fromEntries(
    of('image-failed').map(({ image, reason, message }) => [image, `${reason}: ${message}`]),
  )
  return { summary, events, failures, of }
}
