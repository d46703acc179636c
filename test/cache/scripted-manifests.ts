/** An upstream that holds manifests and tags, does what a test says, and writes down what it was asked. */
import { vi } from 'vitest'
import type { MirroredUpstream } from '../../src/cache/upstreams.ts'
import { digestOf, type Digest } from '../../src/oci/digest.ts'
import type { Reference } from '../../src/oci/reference.ts'
import { type PullBudget, type Upstream, UpstreamError } from '../../src/upstream/upstream.ts'
import type { Gate } from '../fakes/gate.ts'

export const OCI_IMAGE = 'application/vnd.oci.image.manifest.v1+json'

export interface ScriptedManifests {
  readonly client: Upstream
  /** In the order of arrival, e.g. `HEAD v1`. */
  readonly asked: readonly string[]
  /** What may be changed at any time. */
  readonly mood: {
    failure: UpstreamError | undefined
    /** Stood before by every answer. */
    gate: Gate | undefined
    /** Its answers to HEAD tell neither digest nor length. */
    vague: boolean
    pullBudget: PullBudget
    offline: boolean
  }
  push(tag: string, bytes: Uint8Array): Digest
  removeTag(tag: string): void
  /** HEAD of the tag tells this digest, under which there is nothing, or these bytes. */
  announce(tag: string, digest: Digest, bytes?: Uint8Array): void
}

export function scriptManifests(name: string): ScriptedManifests {
  const tags = new Map<string, Digest>()
  const manifests = new Map<string, Uint8Array>()
  const asked: string[] = []
  const mood: ScriptedManifests['mood'] = {
    failure: undefined,
    gate: undefined,
    vague: false,
    pullBudget: 'ample',
    offline: false,
  }

  function isAnnounced(method: string, tag: string): boolean {
    return method === 'HEAD' && tags.has(tag)
  }

  async function find(method: string, reference: Reference, signal: AbortSignal) {
    const text = reference.kind === 'tag' ? reference.tag : reference.digest
    asked.push(`${method} ${text}`)
    const digest = reference.kind === 'tag' ? tags.get(reference.tag) : reference.digest
    const bytes = manifests.get(digest ?? '') ?? (isAnnounced(method, text) ? NOTHING : undefined)
    await mood.gate?.pass()
    if (signal.aborted || mood.failure) {
      throw mood.failure ?? new UpstreamError('unavailable', 'The asking was ended.')
    }
    if (!digest || !bytes) throw new UpstreamError('not-found', `There is no ${text}.`)
    const told = mood.vague && method === 'HEAD' ? undefined : { digest, size: bytes.length }
    return { digest: told?.digest, size: told?.size, contentType: OCI_IMAGE, bytes }
  }

  return {
    asked,
    mood,
    push(tag, bytes) {
      const digest = digestOf(bytes)
      manifests.set(digest, bytes)
      tags.set(tag, digest)
      return digest
    },
    removeTag: (tag) => void tags.delete(tag),
    announce(tag, digest, bytes) {
      if (bytes) manifests.set(digest, bytes)
      tags.set(tag, digest)
    },
    client: {
      name,
      headManifest: (_repository, reference, signal) => find('HEAD', reference, signal),
      getManifest: (_repository, reference, signal) => find('GET', reference, signal),
      headBlob: vi.fn<Upstream['headBlob']>(),
      getBlob: vi.fn<Upstream['getBlob']>(),
      getTags: vi.fn<Upstream['getTags']>(),
      getReferrers: vi.fn<Upstream['getReferrers']>(),
      state: () => ({
        offline: mood.offline,
        pullBudget: mood.pullBudget,
        endpoints: [],
        accounts: [],
      }),
      close: async () => undefined,
    },
  }
}

const NOTHING = Buffer.from('{}')

/** How the cache treats it where a test says nothing else. */
export const ORDINARY: Omit<MirroredUpstream, 'client'> = {
  tagTtl: 1000,
  staleWhileRevalidate: 0,
  staleIfError: Infinity,
  keepDeleted: true,
  complete: 'off',
}
