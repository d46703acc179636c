/**
 * Tags that are made of a digest: what refers to an image lies under them where a registry has no referrers
 * API. Pure.
 * https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema
 */
import { digestAlgorithm, digestHex, isDigest, type Digest } from './digest.ts'

/** `<algorithm, 32 at most>-<hex, 64 at most>`: the tag of the list of what refers to the subject. */
export function referrersTag(subject: Digest): string {
  return `${digestAlgorithm(subject).slice(0, 32)}-${digestHex(subject).slice(0, 64)}`
}

/** @returns what the tag is about: of the list, and of cosign's `sha256-<hex>.sig`, `.att`, `.sbom` */
export function subjectOfTag(tag: string): Digest | undefined {
  const [, algorithm = '', hex = ''] =
    /^(sha256|sha384|sha512)-([0-9a-f]+)(?:\.[a-z]+)?$/.exec(tag) ?? []
  const digest = `${algorithm}:${hex}`
  return isDigest(digest) ? digest : undefined
}
