/** Ends a connection that brings next to nothing: byte by byte, it would outlast every idle timeout. */
import type { ChunkReader } from './chunk-reader.ts'
import { UpstreamError, type UpstreamBlob } from '../upstream/upstream.ts'

/** Milliseconds of waiting for upstream in which so many bytes must come. */
const INTERVAL = 60_000
const MIN_BYTES = 60 * 1024

export interface TrickleWatch {
  /**
   * The next chunk. Only the waiting for it counts, not what is done between two chunks: whoever
   * pauses by itself or writes to a slow disk must not blame upstream for it.
   */
  next(chunks: Pick<ChunkReader, 'next'>): Promise<Buffer | undefined>
  stop(): void
}

/** Upstream sends so slowly that the connection counts as one that brought nothing. */
export class TrickleError extends UpstreamError {
  constructor() {
    super(
      'unavailable',
      `Upstream sent fewer than ${MIN_BYTES} bytes of a blob in ${INTERVAL / 1000} s.`,
    )
  }
}

/** Destroys the body with a `TrickleError`, unless it is stopped before. */
export function watchTrickle({ body }: Pick<UpstreamBlob, 'body'>): TrickleWatch {
  let bytes = 0
  let waited = 0
  let waitingSince: number | undefined
  let timer = setTimeout(look, INTERVAL)

  function look(): void {
    if (bytes >= MIN_BYTES) startOver()
    const left = INTERVAL - waited - currentWait()
    if (left > 0) timer = setTimeout(look, left)
    else body.destroy(new TrickleError())
  }

  function startOver(): void {
    bytes = 0
    waited = -currentWait()
  }

  function currentWait(): number {
    return waitingSince === undefined ? 0 : performance.now() - waitingSince
  }

  return {
    async next(chunks) {
      waitingSince = performance.now()
      try {
        const chunk = await chunks.next()
        bytes += chunk?.length ?? 0
        return chunk
      } finally {
        waited += currentWait()
        waitingSince = undefined
      }
    },
    stop: () => clearTimeout(timer),
  }
}
