/** A mirror that gives hot answers from memory, and tells when it had to be asked after all. */
import { createHash } from 'node:crypto'
import type { ByteSource } from '../../src/byte-source.ts'
import type { Policy } from '../../src/control/control.ts'
import { type Digest, digestOf } from '../../src/oci/digest.ts'
import type { Gate } from '../fakes/gate.ts'
import { type ClientRequest, type ClientResponse, request } from '../support/client.ts'
import { until } from '../support/until.ts'
import { fakeControl, type FakeControlOptions, principal } from './fake-control.ts'
import { type FakeMirror, type Served, serveMirror, type ServedOptions } from './fake-mirror.ts'

export type Found = Awaited<ReturnType<FakeMirror['manifest']>>

export interface HotMirror extends Served {
  /** Calls of the mirror for content, and of `identify`, in order. */
  readonly calls: readonly string[]
  /** What may be changed at any time. */
  readonly state: {
    /** Milliseconds since the epoch. */
    now: number
    policy: Policy
    isCurrent: boolean
    tagsVersion: number
    /** What is found in the place of the ordinary. */
    manifest: Partial<Found>
    blobOutcome: Found['outcome']
    /** Stood before by whoever looks up content. */
    gate: Gate | undefined
    /** Stood behind: what is found may be old by then. */
    gateBehind: Gate | undefined
  }
  ask(path: string, options?: Asking): Promise<ClientResponse>
  /** @returns whether something had to be asked for it */
  isAsked(path: string, options?: Asking): Promise<boolean>
  /** Lines of requests so far. */
  lines(): Readonly<Record<string, unknown>>[]
}

export type Asking = Pick<ClientRequest, 'method' | 'headers'>

export interface HotOptions extends FakeControlOptions, Pick<ServedOptions, 'behindProxy'> {
  readonly memory?: number
  /** Replaces what answers. */
  readonly mirror?: Partial<FakeMirror>
}

export const MIB = 1024 * 1024
export const NOW = 1_700_000_000_000
export const ALICE = { authorization: 'Basic alice' }
export const CAROL = { authorization: 'Bearer carol' }

/** With each value that a byte can have. */
const bytesOf = (size: number, seed = 0): Buffer =>
  Buffer.from(Uint8Array.from({ length: size }, (_, at) => at + seed + (at >> 8)))

/** By what it is called in tests. */
export const MANIFEST = bytesOf(400, 7)
export const MANIFEST_DIGEST = digestOf(MANIFEST)
/** Too large to be sent in one write with its head. */
export const LONG_MANIFEST = bytesOf(40_000, 9)

const BLOBS = new Map<string, Buffer>()

/** @returns the digest of a blob that every mirror here has */
export function blobOf(size: number, seed = 0): Digest {
  const bytes = bytesOf(size, seed)
  const digest = digestOf(bytes)
  BLOBS.set(digest, bytes)
  return digest
}

export const BLOB = blobOf(1000)
export const REPOSITORY = '/v2/docker.io/library/app'
export const BY_TAG = `${REPOSITORY}/manifests/v1`
export const BY_DIGEST = `${REPOSITORY}/manifests/${MANIFEST_DIGEST}`
export const BY_BLOB = `${REPOSITORY}/blobs/${BLOB}`
export const PATHS = [BY_TAG, BY_DIGEST, BY_BLOB] as const

/** Nobody, alice and carol are known until the moment ends; everybody may pull everything but `secret`. */
const IDENTITIES: NonNullable<FakeControlOptions['identities']> = {
  '': { credential: 'none', validUntil: Infinity },
  [ALICE.authorization]: {
    principal: principal('user', 'alice', 'pull=quay.io/secret/*'),
    validUntil: Infinity,
  },
  [CAROL.authorization]: { principal: principal('robot', 'carol'), validUntil: Infinity },
}

export async function openHotMirror(options: HotOptions = {}): Promise<HotMirror> {
  const { memory = 64 * MIB, behindProxy = false, mirror = {}, ...controlOptions } = options
  const calls: string[] = []
  const control = fakeControl({
    anonymous: ['docker.io/**', 'registry.example:5000/**'],
    identities: IDENTITIES,
    ...controlOptions,
  })
  const state: HotMirror['state'] = {
    now: NOW,
    policy: control.policy(),
    isCurrent: true,
    tagsVersion: 1,
    manifest: {},
    blobOutcome: 'hit',
    gate: undefined,
    gateBehind: undefined,
  }
  const served = await serveMirror(
    { ...contentOf(state, calls), ...mirror },
    {
      behindProxy,
      control: {
        ...control,
        isCurrent: () => state.isCurrent,
        policy: () => state.policy,
        async identify(authorization, address) {
          calls.push('identify')
          return control.identify(authorization, address)
        },
      },
      remembers: { memory, now: () => state.now },
    },
  )
  const { url } = served
  const ask: HotMirror['ask'] = (path, asking) => request({ ...asking, url, path })
  return {
    ...served,
    calls,
    state,
    ask,
    async isAsked(path, asking) {
      const before = calls.length
      await ask(path, asking)
      return calls.length > before
    },
    lines: () => served.logs.filter(({ msg }) => msg === 'request'),
  }
}

function contentOf(state: HotMirror['state'], calls: string[]): Partial<FakeMirror> {
  return {
    async manifest(_key, reference, wantsBody) {
      const text = reference.kind === 'tag' ? reference.tag : reference.digest
      calls.push(`${wantsBody ? 'GET' : 'HEAD'} ${text}`)
      const body = text === 'long' ? LONG_MANIFEST : MANIFEST
      await state.gate?.pass()
      const found = ordinary(body, wantsBody, state.now)
      const answer = { ...found, ...state.manifest }
      await state.gateBehind?.pass()
      return answer
    },
    async blobHead(_key, digest) {
      calls.push(`HEAD ${digest}`)
      return { size: blob(digest).length, outcome: state.blobOutcome }
    },
    async blob(_key, digest) {
      calls.push(`GET ${digest}`)
      const outcome = state.blobOutcome
      await state.gateBehind?.pass()
      return { source: sourceOf(blob(digest)), outcome }
    },
    tagsLeadingTo: async () => ['v1'],
    tagsVersion: () => state.tagsVersion,
  }
}

function ordinary(body: Buffer, wantsBody: boolean, now: number): Found {
  return {
    digest: digestOf(body),
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    size: body.length,
    bytes: wantsBody ? body : undefined,
    outcome: 'hit',
    staleBecause: undefined,
    freshUntil: now + 3_600_000,
  }
}

function blob(digest: string): Buffer {
  const bytes = BLOBS.get(digest)
  if (bytes === undefined) throw new Error(`There is no ${digest}.`)
  return bytes
}

function sourceOf(bytes: Buffer): ByteSource {
  return {
    size: bytes.length,
    async read(buffer, position) {
      return bytes.copy(buffer, 0, position)
    },
    close: async () => undefined,
  }
}

/** @returns the lines, when there are so many */
export async function linesOf(
  mirror: HotMirror,
  count: number,
): Promise<Readonly<Record<string, unknown>>[]> {
  await until(() => mirror.lines().length >= count, { what: `${count} lines in the log` })
  return mirror.lines()
}

export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
