/** What is to be warmed, before any registry was asked. */

/** One image, as people write it, or tags of a repository that upstream is to name. */
export type ImageSource = { readonly image: string } | TagSource

/** With neither of both: all tags. */
export interface TagSource {
  /** `quay.io/coreos/etcd` */
  readonly repository: string
  /** A regular expression that is found in the tag, as in `images-by-tag-regex`. */
  readonly matching?: string | undefined
  /** A range of versions, as in `images-by-semver`. */
  readonly semver?: string | undefined
}

/** Images of one job, those that selections find included. */
export const MAX_IMAGES = 10_000
/** Downloads at a time. */
export const MAX_CONCURRENCY = 16
export const DEFAULT_CONCURRENCY = 4

/** As it is named in events and messages. */
export function sourceText(source: ImageSource): string {
  if ('image' in source) return source.image
  const { repository, matching, semver } = source
  if (matching !== undefined) return `${repository} (tags that match ${matching})`
  return semver === undefined ? `${repository} (all tags)` : `${repository} (versions ${semver})`
}
