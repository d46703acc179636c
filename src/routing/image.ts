/** An image as people write it → what is meant by it. Pure. */
import { parseDigest, type Digest } from '../oci/digest.ts'
import { parseTag, type Tag } from '../oci/reference.ts'
import { resolve, type RoutingTable, type Target } from './resolve.ts'

export interface Image {
  readonly target: Target
  readonly tag: Tag | undefined
  readonly digest: Digest | undefined
}

/**
 * @param text `docker.io/library/redis:7`, `quay.io/coreos/etcd@sha256:…`, `redis` where there is a default
 * @throws {OciError} NAME_INVALID, NAME_UNKNOWN, TAG_INVALID, DIGEST_INVALID
 */
export function parseImage(table: RoutingTable, text: string): Image {
  const at = text.indexOf('@')
  const named = at === -1 ? text : text.slice(0, at)
  const colon = named.lastIndexOf(':')
  // A colon that a slash follows is that of a port.
  const hasTag = colon > named.lastIndexOf('/')
  const name = hasTag ? named.slice(0, colon) : named
  return {
    target: resolve(table, {
      prefix: undefined,
      name: name.split('/'),
      namespaces: [],
      host: undefined,
    }),
    tag: hasTag ? parseTag(named.slice(colon + 1)) : undefined,
    digest: at === -1 ? undefined : parseDigest(text.slice(at + 1)),
  }
}

/** As `parseImage` reads it: `docker.io/library/redis:7`. */
export function imageText({ target, tag, digest }: Image): string {
  const name = `${target.upstream}/${target.repository}`
  return `${name}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`
}
