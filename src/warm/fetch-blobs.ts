/** The blobs of planned images, a few at a time over all of them. */
import type { Descriptor } from '../oci/manifest.ts'
import type { WarmSurroundings } from './job.ts'
import type { Plan } from './plan.ts'
import type { Slots } from './slots.ts'

/** What became of the blobs of one image. */
export interface Fetched {
  blobs: number
  bytes: number
  alreadyThere: number
}

type Dependencies = Pick<WarmSurroundings, 'mirror' | 'onEvent' | 'signal' | 'lookEvery'> & {
  readonly slots: Slots
}

/** Milliseconds. */
const LOOK_EVERY = 500

/** @returns a function that throws what the first blob fails with; those that wait then do not begin */
export function createBlobFetcher(
  dependencies: Dependencies,
): (image: string, plan: Plan) => Promise<Fetched> {
  const { mirror, onEvent, signal, slots, lookEvery = LOOK_EVERY } = dependencies

  async function fetchOne(image: string, key: Plan['key'], wanted: Descriptor): Promise<boolean> {
    const { digest: blob, size: bytes = 0 } = wanted
    const stopLooking = watch(image, key, blob)
    try {
      const alreadyThere = (await mirror.ensureBlob(key, blob, signal)) === 'present'
      stopLooking()
      onEvent({ event: 'blob-finished', image, blob, bytes, alreadyThere })
      return alreadyThere
    } finally {
      stopLooking()
    }
  }

  function watch(image: string, key: Plan['key'], blob: Descriptor['digest']): () => void {
    let isOver = false
    const look = async (): Promise<void> => {
      const progress = await mirror.blobProgress(key, blob).catch(() => undefined)
      if (progress && !isOver) onEvent({ event: 'blob-progress', image, blob, ...progress })
    }
    const looking = setInterval(() => void look(), lookEvery)
    looking.unref()
    return () => {
      isOver = true
      clearInterval(looking)
    }
  }

  return async (image, { key, blobs }) => {
    const fetched: Fetched = { blobs: 0, bytes: 0, alreadyThere: 0 }
    const failure = new AbortController()
    const either = AbortSignal.any([signal, failure.signal])
    // Before the place is free again, so that none of this image takes it.
    const fail = (error: unknown): void => failure.abort(error)
    const fetchInTurn = async (blob: Descriptor): Promise<void> => {
      const wasThere = await fetchOne(image, key, blob)
      fetched.alreadyThere += wasThere ? 1 : 0
      fetched.blobs += wasThere ? 0 : 1
      fetched.bytes += wasThere ? 0 : (blob.size ?? 0)
    }
    await Promise.all(
      blobs.map((blob) => slots.use(() => fetchInTurn(blob).catch(fail), either).catch(fail)),
    )
    failure.signal.throwIfAborted()
    return fetched
  }
}
