/** How far a warm job is, from what it has told. Pure. */
import type { WarmEvent } from '../warming.ts'

export interface ImageProgress {
  readonly image: string
  /** Bytes that are here of those that are known of; a blob that was here counts. */
  done: number
  /** `undefined` before its manifests are known. */
  total: number | undefined
  /** Bytes of blobs that are on their way, by digest. */
  readonly partial: Map<string, number>
}

export interface JobProgress {
  /** `undefined` while they are being selected. */
  readonly images: number | undefined
  readonly ended: number
  readonly failed: number
  /** In the order in which they began. */
  readonly running: readonly ImageProgress[]
  /** Bytes that came from upstream. */
  readonly fetched: number
  /** A second, lately; 0: nothing came. */
  readonly rate: number
  /** Milliseconds; `undefined`: nobody can tell. */
  readonly left: number | undefined
}

export interface ProgressState {
  note(event: WarmEvent): void
  /** As of now. */
  read(): JobProgress
}

/** Milliseconds over which the rate is measured. */
const WINDOW = 10_000

/** @param now milliseconds of a monotonic clock */
export function createProgressState(now: () => number): ProgressState {
  const running = new Map<string, ImageProgress>()
  let images: number | undefined
  let ended = 0
  let failed = 0
  /** Of finished blobs. */
  let fetched = 0
  let planned = { images: 0, bytes: 0 }
  const samples: { readonly at: number; readonly bytes: number }[] = [{ at: now(), bytes: 0 }]

  const partialBytes = ({ partial }: ImageProgress): number =>
    [...partial.values()].reduce((sum, bytes) => sum + bytes, 0)

  function fetchedSoFar(): number {
    return [...running.values()].reduce((sum, image) => sum + partialBytes(image), fetched)
  }

  function rateOf(bytes: number): number {
    const at = now()
    samples.push({ at, bytes })
    while (samples.length > 2 && (samples[1]?.at ?? at) <= at - WINDOW) samples.shift()
    const [first] = samples
    if (first === undefined || at <= first.at) return 0
    return (Math.max(0, bytes - first.bytes) / (at - first.at)) * 1000
  }

  /** Images of which nothing is known yet are taken for average ones. */
  function leftOf(rate: number): number | undefined {
    if (rate <= 0 || images === undefined || planned.images === 0) return undefined
    const known = [...running.values()].reduce(
      (sum, image) => sum + Math.max(0, (image.total ?? 0) - image.done - partialBytes(image)),
      0,
    )
    const unknown = Math.max(0, images - ended - [...running.values()].filter(isPlanned).length)
    return ((known + (unknown * planned.bytes) / planned.images) / rate) * 1000
  }

  return {
    note(event) {
      switch (event.event) {
        case 'images-selected':
          images = (images ?? 0) + event.images
          return
        case 'image-started':
          running.set(event.image, newImage(event.image))
          return
        case 'image-planned': {
          const found = running.get(event.image)
          if (found) found.total = event.bytes
          planned = { images: planned.images + 1, bytes: planned.bytes + event.bytes }
          return
        }
        case 'blob-progress':
          running.get(event.image)?.partial.set(event.blob, event.bytes)
          return
        case 'blob-finished': {
          const found = running.get(event.image)
          found?.partial.delete(event.blob)
          if (found) found.done += event.bytes
          if (!event.alreadyThere) fetched += event.bytes
          return
        }
        case 'image-failed':
          failed += 1
          // A selection that fails has never begun.
          if (!running.has(event.image)) return
          ended += 1
          running.delete(event.image)
          return
        case 'image-finished':
        case 'image-would-be-fetched':
          ended += 1
          running.delete(event.image)
          return
        case 'tags-selected':
        case 'summary':
          return
      }
    },
    read() {
      const bytes = fetchedSoFar()
      const rate = rateOf(bytes)
      return {
        images,
        ended,
        failed,
        running: [...running.values()],
        fetched: bytes,
        rate,
        left: leftOf(rate),
      }
    },
  }
}

function isPlanned({ total }: ImageProgress): boolean {
  return total !== undefined
}

function newImage(image: string): ImageProgress {
  return { image, done: 0, total: undefined, partial: new Map() }
}
