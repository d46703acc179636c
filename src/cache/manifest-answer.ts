/** What is answered to a request for a manifest. */
import type { Outcome } from '../metrics.ts'
import type { Digest } from '../oci/digest.ts'
import type { StoredManifest } from './manifest-store.ts'

export interface ManifestAnswer {
  readonly digest: Digest
  readonly mediaType: string
  /** Bytes of the manifest. */
  readonly size: number
  /** `undefined` only where no body was asked for. */
  readonly bytes: Uint8Array | undefined
  readonly outcome: Outcome
  /** Why what is served may be out of date. */
  readonly staleBecause: string | undefined
  /**
   * Milliseconds since the epoch until which the same question has the same answer, as long as
   * `Mirror.tagsVersion` and the settings stay; 0: it has to be asked again.
   */
  readonly freshUntil: number
}

export function answer(
  { digest, mediaType, bytes }: StoredManifest,
  wantsBody: boolean,
  outcome: Outcome,
  freshUntil = 0,
): ManifestAnswer {
  return {
    ...described({ digest, mediaType, size: bytes.length }, outcome),
    bytes: wantsBody ? bytes : undefined,
    freshUntil,
  }
}

/** All that a HEAD is told. */
export function described(
  { digest, mediaType, size }: Pick<ManifestAnswer, 'digest' | 'mediaType' | 'size'>,
  outcome: Outcome,
): ManifestAnswer {
  return {
    digest,
    mediaType,
    size,
    bytes: undefined,
    outcome,
    staleBecause: undefined,
    freshUntil: 0,
  }
}
