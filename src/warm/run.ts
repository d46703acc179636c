/** A warm job: images into the store, so that nobody waits for them who pulls them. */
import { untilAborted } from '../abort.ts'
import { WarmFailure, type WarmEvent, type WarmSummary } from './events.ts'
import { failureOf } from './failure.ts'
import { createBlobFetcher, type Fetched } from './fetch-blobs.ts'
import type { Verdict, WarmJob, WarmSurroundings } from './job.ts'
import { planImage } from './plan.ts'
import { selectImages } from './select.ts'
import { createSlots } from './slots.ts'
import { MAX_IMAGES, sourceText } from './sources.ts'

/**
 * One image that fails does not keep the others from coming. What is stored is not asked for again.
 * @throws the signal's reason, at once: downloads that run belong to the mirror and go on there
 */
export async function runWarmJob(
  job: WarmJob,
  surroundings: WarmSurroundings,
): Promise<WarmSummary> {
  const { now = () => performance.now() } = surroundings
  const startedAt = now()
  const over = new AbortController()
  const signal = AbortSignal.any([surroundings.signal, over.signal])
  const onEvent = (event: WarmEvent): void => {
    if (!signal.aborted) surroundings.onEvent(event)
  }
  try {
    const totals = await untilAborted(work(job, { ...surroundings, signal, onEvent }), signal)
    const milliseconds = Math.round(now() - startedAt)
    const summary = { event: 'summary', ...totals, milliseconds } as const
    onEvent(summary)
    return summary
  } finally {
    // Of what is still under way nobody is told any more.
    over.abort(new Error('The job is over.'))
  }
}

type Totals = Omit<WarmSummary, 'event' | 'milliseconds'>

async function work(job: WarmJob, surroundings: WarmSurroundings): Promise<Totals> {
  const { signal, onEvent, explain } = surroundings
  const { concurrency, platforms, dryRun = false } = job
  const fetchBlobs = createBlobFetcher({ ...surroundings, slots: createSlots(concurrency) })
  const totals = { images: 0, failed: 0, blobs: 0, bytes: 0, alreadyThere: 0 }

  function fail(image: string, error: unknown): void {
    const { reason, message } = failureOf(error, signal)
    totals.failed += 1
    onEvent({ event: 'image-failed', image, reason, message })
  }

  /** Each once. */
  async function select(): Promise<Set<string>> {
    const images = new Set<string>()
    for (const source of job.sources) {
      if ('image' in source) images.add(source.image)
      else {
        const found = await selectImages(source, surroundings).catch((error: unknown) => {
          fail(sourceText(source), error)
          totals.images += 1
          return []
        })
        for (const image of found) images.add(image)
      }
      if (images.size > MAX_IMAGES) throw tooMany()
    }
    return images
  }

  /** A client that is told both asks by the digest alone, which is judged by the tags that lead to it. */
  async function judge(image: string): Promise<Verdict> {
    const said = await explain(image)
    const { upstream, repository, tag, digest } = said
    return tag && digest ? explain(`${upstream}/${repository}@${digest}`) : said
  }

  async function warmImage(image: string): Promise<void> {
    onEvent({ event: 'image-started', image })
    const verdict = await judge(image)
    if (!verdict.allowed) throw new WarmFailure('denied', verdict.verdict)
    if (dryRun) return onEvent(wouldBeFetched(image, verdict))
    const plan = await planImage(verdict, platforms, surroundings)
    const { digest, blobs, note } = plan
    const bytes = blobs.reduce((sum, { size = 0 }) => sum + size, 0)
    onEvent({ event: 'image-planned', image, digest, blobs: blobs.length, bytes })
    const fetched = await fetchBlobs(image, plan)
    count(fetched)
    onEvent({ event: 'image-finished', image, digest, ...fetched, note })
  }

  function count({ blobs, bytes, alreadyThere }: Fetched): void {
    totals.blobs += blobs
    totals.bytes += bytes
    totals.alreadyThere += alreadyThere
  }

  const images = await select()
  totals.images += images.size
  onEvent({ event: 'images-selected', images: images.size })
  const places = createSlots(concurrency)
  const warmInTurn = (image: string): Promise<void> =>
    places.use(() => warmImage(image).catch((error: unknown) => fail(image, error)), signal)
  await Promise.all([...images].map(warmInTurn))
  return totals
}

function tooMany(): WarmFailure {
  return new WarmFailure('invalid', `A job may have ${MAX_IMAGES} images, and these are more.`)
}

function wouldBeFetched(image: string, { content }: Verdict): WarmEvent {
  const { digest, isStored, blobs } = content
  return {
    event: 'image-would-be-fetched',
    image,
    digest,
    blobs: isStored ? blobs.missing : undefined,
    bytes: isStored ? blobs.missingBytes : undefined,
  }
}
