/** A running mirror with repositories of every kind, and a hand on what its operators have decided. */
import { join } from 'node:path'
import type {
  ApiTokenRecord,
  Change,
  ControlCatalog,
  Refusal,
} from '../../../src/catalog/control-catalog.ts'
import { openControlCatalog } from '../../../src/catalog/sqlite-control.ts'
import { createApiToken } from '../../../src/control/api-token.ts'
import type { Digest } from '../../../src/oci/digest.ts'
import { buildImage } from '../../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../../fakes/registry.ts'
import { type ClientResponse, request } from '../../support/client.ts'
import { type Mirror, startMirror } from '../../support/mirror.ts'

/** What a request can be about. */
export interface Place {
  readonly kind: 'own' | 'other' | 'public' | 'private' | 'denied' | 'unknown'
  /** `<upstream>/<repository>` */
  readonly name: string
}

export const PLACES: readonly Place[] = [
  { kind: 'own', name: 'quay.io/team/app' },
  { kind: 'other', name: 'quay.io/other/app' },
  { kind: 'public', name: 'docker.io/library/public' },
  // Upstream, only the mirror itself may see it.
  { kind: 'private', name: 'vault.example/secret/app' },
  { kind: 'denied', name: 'quay.io/denied/app' },
  { kind: 'unknown', name: 'unknown.example/some/app' },
]

export const TAG = '1'
export const IMAGE = buildImage({ seed: 'matrix', layers: [300] })

export interface Terms {
  /** Patterns that everybody may pull. */
  readonly anonymous: readonly string[]
  readonly anonymousStatus: boolean
  /** Whether there is an API. */
  readonly api: 'same' | 'off'
  /** Whether there are users or robots, besides the one of the first start. */
  readonly accounts: boolean
}

export interface World extends AsyncDisposable {
  readonly mirror: Mirror
  readonly terms: Terms
  /** Of the running mirror, opened beside it, as commands on the host do. */
  readonly catalog: ControlCatalog
  put(...changes: Change[]): Promise<void>
  note(refusal: Pick<Refusal, 'id' | 'user' | 'name' | 'tag'>): Promise<void>
  send(asked: Asked): Promise<ClientResponse>
  /** Pulls an image by a token that is made for that alone. */
  fill(name: string): Promise<void>
}

export interface Asked {
  readonly method: string
  readonly path: string
  readonly authorization?: string | undefined
  readonly json?: unknown
}

export async function openWorld(terms: Terms): Promise<World> {
  const auth = { kind: 'basic', username: 'mirror', password: 'of upstream' } as const
  const open: AsyncDisposable[] = []
  const registry = async (options: Parameters<typeof startRegistry>[0]): Promise<FakeRegistry> => {
    const started = await startRegistry(options)
    open.push(started)
    return started
  }
  const [hub, quay, vault] = [await registry({}), await registry({}), await registry({ auth })]
  for (const name of ['team/app', 'other/app', 'denied/app']) quay.push(name, TAG, IMAGE)
  hub.push('library/public', TAG, IMAGE)
  vault.push('secret/app', TAG, IMAGE)

  const credentials = [{ username: auth.username, password: auth.password }]
  const mirror = await startMirror({
    upstreams: {
      'docker.io': hub,
      'quay.io': quay,
      'vault.example': { registry: vault, credentials },
    },
    deny: ['quay.io/denied/**'],
    anonymous: terms.anonymous,
    anonymousStatus: terms.anonymousStatus,
    api: terms.api,
  })
  const catalog = openControlCatalog(join(mirror.dataDir, 'control.sqlite'))
  return {
    mirror,
    terms,
    catalog,
    put: (...changes) => catalog.change(() => change(...changes)),
    async note(refusal) {
      const at = Date.now()
      const times = { count: 1, firstAt: at, lastAt: at }
      const from = { address: '192.0.2.1', reason: 'rule', userAgent: undefined } as const
      await catalog.noteRefusals([{ ...refusal, ...from, ...times }])
    },
    send: (asked) => send(mirror.url, asked),
    fill: (name) => fill(mirror, catalog, name),
    async [Symbol.asyncDispose]() {
      await catalog.close()
      await mirror[Symbol.asyncDispose]()
      for (const one of open.toReversed()) await one[Symbol.asyncDispose]()
    },
  }
}

async function fill(mirror: Mirror, catalog: ControlCatalog, name: string): Promise<void> {
  const { id, token, secretHash } = createApiToken()
  const record: ApiTokenRecord = {
    id,
    name: 'filler',
    secretHash,
    grants: [{ role: 'pull', pattern: name }],
    owner: 'the proof',
    createdAt: 1,
    expiresAt: undefined,
    isFirst: true,
  }
  await catalog.change(() => change({ kind: 'put-token', token: record }))
  await mirror.pull(name, TAG, { headers: { Authorization: `Bearer ${token}` } })
  await catalog.change(() => change({ kind: 'remove-token', id }))
}

function change(...changes: Change[]) {
  return { changes, audit: [], result: undefined }
}

/** The upstream and the repository of a name. */
export function partsOf(name: string) {
  const slash = name.indexOf('/')
  return { upstream: name.slice(0, slash), repository: name.slice(slash + 1) }
}

/** Another one for each number. */
export function digestNumber(number: number): Digest {
  return `sha256:${number.toString(16).padStart(64, '0')}` as Digest
}

function send(url: string, { method, path, authorization, json }: Asked): Promise<ClientResponse> {
  const body = json === undefined ? undefined : JSON.stringify(json)
  return request({
    url,
    path,
    method,
    idleMs: 60_000,
    headers: {
      ...(authorization !== undefined && { Authorization: authorization }),
      ...(body !== undefined && {
        'Content-Type': 'application/json',
        'Content-Length': String(Buffer.byteLength(body)),
      }),
    },
    ...(body !== undefined && { body }),
  })
}
