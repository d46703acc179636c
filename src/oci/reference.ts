/**
 * Repository names, tags and references.
 * https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
 */
import { type Digest, parseDigest } from './digest.ts'
import { OciError } from './error.ts'

/** A repository name without its registry, e.g. `library/nginx`. */
export type Repository = string & { readonly __brand: 'Repository' }
export type Tag = string & { readonly __brand: 'Tag' }

export type Reference =
  { readonly kind: 'tag'; readonly tag: Tag } | { readonly kind: 'digest'; readonly digest: Digest }

/** Longest repository name accepted; Go clients refuse more (distribution/reference). */
const NAME_MAX_LENGTH = 255
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/

/** @throws {OciError} NAME_INVALID */
export function parseRepository(text: string): Repository {
  if (!isRepository(text)) {
    throw new OciError(
      'NAME_INVALID',
      'A repository name is lower-case components of letters, digits and single separators (. _ __ -), joined by slashes, 255 characters at most.',
      { detail: { name: text.slice(0, NAME_MAX_LENGTH + 1) } },
    )
  }
  return text
}

export function isRepository(text: string): text is Repository {
  return (
    text.length <= NAME_MAX_LENGTH &&
    text.split('/').every((component) => COMPONENT.test(component))
  )
}

/** @throws {OciError} TAG_INVALID */
export function parseTag(text: string): Tag {
  if (!isTag(text)) {
    throw new OciError(
      'TAG_INVALID',
      'A tag is 1 to 128 letters, digits, dots, dashes and underscores, and does not begin with a dot or a dash.',
      { detail: { tag: text.slice(0, 200) } },
    )
  }
  return text
}

export function isTag(text: string): text is Tag {
  return TAG.test(text)
}

/**
 * A tag cannot hold a colon and a digest must, so the colon decides.
 * @throws {OciError} DIGEST_INVALID, TAG_INVALID
 */
export function parseReference(text: string): Reference {
  return text.includes(':')
    ? { kind: 'digest', digest: parseDigest(text) }
    : { kind: 'tag', tag: parseTag(text) }
}

export function referenceText(reference: Reference): string {
  return reference.kind === 'tag' ? reference.tag : reference.digest
}
