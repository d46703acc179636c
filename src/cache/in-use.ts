/** What is being read or filled at this moment, so that it is not removed meanwhile. */
import type { Digest } from '../oci/digest.ts'

export interface InUse {
  /** @returns ends this use; a second call does nothing */
  hold(digest: Digest): () => void
  has(digest: Digest): boolean
}

export function createInUse(): InUse {
  const holders = new Map<Digest, number>()

  function letGo(digest: Digest): void {
    const left = (holders.get(digest) ?? 0) - 1
    if (left > 0) holders.set(digest, left)
    else holders.delete(digest)
  }

  return {
    hold(digest) {
      let held = true
      holders.set(digest, (holders.get(digest) ?? 0) + 1)
      return () => {
        if (held) letGo(digest)
        held = false
      }
    },
    has: (digest) => holders.has(digest),
  }
}
