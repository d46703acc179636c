/** The n-th call to the file system or the database fails, for each n: clients are served, nothing wrong is. */
import type * as Files from 'node:fs/promises'
import type * as Sqlite from 'better-sqlite3'
import { expect, it, vi } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { buildImage, type FakeBlob, type FakeImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { metric } from '../scenarios/metrics-page.ts'
import { storedBlobs } from '../scenarios/stored-blobs.ts'
import { download } from '../support/client.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { within } from '../support/until.ts'
import { LONG } from './chance.ts'
import { inject, type Injection, type StorageCode, type StorageKind } from './failing-storage.ts'
import { wrongFiles } from './stored-files.ts'

vi.mock('node:fs/promises', async (original) => {
  const { failingFiles } = await import('./failing-storage.ts')
  return failingFiles(await original<typeof Files>())
})
vi.mock('better-sqlite3', async (original) => {
  const { failingDatabase } = await import('./failing-storage.ts')
  return failingDatabase(await original<typeof Sqlite>())
})

const KIB = 1024
/** Layers of some chunks each; the budget of an eviction has room for one of them. */
const OLD = buildImage({ seed: 'old', layers: [150 * KIB] })
const IMAGE = buildImage({ seed: 'nth', layers: [200 * KIB] })
const BUDGET = '300KiB'
const PATH = '/v2/docker.io/library/nth'
const LAYER = layerOf(IMAGE)
const LAYER_PATH = `${PATH}/blobs/${LAYER.digest}`
/** Clients lose nothing by a disk that cannot be written: what they ask for is upstream. */
const SERVED_ALL_THE_SAME: readonly StorageCode[] = ['ENOSPC', 'EROFS']
/** More than any of these operations has calls: a guard against a loop without end. */
const MOST_CALLS = 1000
/** Every call fails once; in the short mode, only from every third one on everything fails. */
const FOR_EVER_STEP = 3
/** Failed calls that a message lists. */
const TOLD = 8
/** Milliseconds for all calls of one kind: what waits for ever fails too. */
const TIMEOUT = 300_000

interface Operation {
  readonly name: string
  readonly yaml?: Readonly<Record<string, unknown>>
  prepare(mirror: Mirror): Promise<void>
  /** What clients ask for while something fails. */
  asks(mirror: Mirror): Promise<readonly Answer[]>
  /** Whether it has come to what it is for, when nothing failed. */
  hasHappened(mirror: Mirror): Promise<boolean>
}

/** What a client got: the right bytes, an answer of the server's own trouble, or less than was promised. */
type Answer = 'right' | 'refused' | 'cut' | `wrong: ${string}`

const OPERATIONS: readonly Operation[] = [
  {
    name: 'a fill',
    prepare: async (mirror) => void (await manifest(mirror, 'v1')),
    asks: (mirror) => Promise.all([layer(mirror), layer(mirror), range(mirror, 1000, 150_000)]),
    hasHappened: async (mirror) => (await storedBlobs(mirror)).includes(LAYER.digest),
  },
  {
    name: 'the storing of a manifest',
    prepare: async () => undefined,
    asks: (mirror) => Promise.all([manifest(mirror, 'v1'), manifest(mirror, IMAGE.digest)]),
    hasHappened: async (mirror) => (await storedBlobs(mirror)).includes(IMAGE.digest),
  },
  {
    name: 'an eviction',
    yaml: { budget: BUDGET },
    async prepare(mirror) {
      await mirror.pull('docker.io/library/old', 'v1')
      await manifest(mirror, 'v1')
    },
    asks: async (mirror) => [await layer(mirror)],
    hasHappened: async (mirror) => (await metric(mirror, 'entrepot_evicted_bytes_total')) > 0,
  },
]
const CODES: readonly StorageCode[] = ['ENOSPC', 'EIO', 'EMFILE', 'EROFS']

for (const { name, ...operation } of OPERATIONS) {
  for (const kind of ['files', 'database'] as const) {
    it.each(CODES)(
      `${name}: a call to the ${kind} fails with %s`,
      { timeout: TIMEOUT },
      async (code) => {
        const points = await failEach(operation, kind, code)
        process.stdout.write(`nth-failure: ${name}, ${kind}, ${code}: ${points} points\n`)
        expect(points).toBeGreaterThan(0)
      },
    )
  }
}

/** @returns how many calls there were that could fail in this way */
async function failEach(
  operation: Omit<Operation, 'name'>,
  kind: StorageKind,
  code: StorageCode,
): Promise<number> {
  await using registry = await startRegistry()
  registry.push('library/nth', 'v1', IMAGE)
  registry.push('library/old', 'v1', OLD)
  const failAt = (nth: number, forEver: boolean): Promise<boolean> =>
    expectServed(operation, registry, { kind, code, nth, forEver })
  for (let nth = 1; nth < MOST_CALLS; nth += 1) {
    if (!(await failAt(nth, false))) return nth - 1
    if (LONG || nth % FOR_EVER_STEP === 1) await failAt(nth, true)
  }
  throw new Error(`There is no end of calls to the ${kind}.`)
}

/** @returns whether anything has failed */
async function expectServed(
  { yaml, prepare, asks, hasHappened }: Omit<Operation, 'name'>,
  registry: FakeRegistry,
  failure: Omit<Injection, 'folder'>,
): Promise<boolean> {
  await using mirror = await startMirror({
    upstreams: { 'docker.io': registry },
    ...(yaml && { yaml }),
  })
  await prepare(mirror)
  await mirror.app.idle()
  const { failed, answers } = await underInjection(mirror, failure, asks)
  if (failed.length === 0) expect(await hasHappened(mirror)).toBe(true)
  const what = `${failure.forEver ? 'for ever from' : 'once at'} call ${failure.nth}: ${failed.slice(0, TOLD).join(', ')}`

  const allowed = SERVED_ALL_THE_SAME.includes(failure.code) ? ['right'] : SERVED_OR_TOLD
  const unserved = answers.filter((answer) => !allowed.includes(answer))
  const again = [await layer(mirror), await manifest(mirror, 'v1')]
  await mirror.restart()
  const wrong = await wrongFiles(mirror.dataDir)
  expect({ what, unserved, again, wrong }).toEqual({
    what,
    unserved: [],
    again: ['right', 'right'],
    wrong: [],
  })
  for (const image of ['nth', 'old']) await mirror.pull(`docker.io/library/${image}`, 'v1')
  return failed.length > 0
}

const SERVED_OR_TOLD: readonly string[] = ['right', 'refused', 'cut']

async function underInjection(
  mirror: Mirror,
  failure: Omit<Injection, 'folder'>,
  asks: Operation['asks'],
): Promise<{ failed: readonly string[]; answers: readonly Answer[] }> {
  using injection = inject({ ...failure, folder: mirror.dataDir })
  const answers = await asks(mirror)
  await within(mirror.app.idle(), { what: `the end of the work, ${JSON.stringify(failure)}` })
  return { failed: injection.failed, answers }
}

async function manifest(mirror: Mirror, reference: string): Promise<Answer> {
  return judged(`${PATH}/manifests/${reference}`, 200, IMAGE.digest, mirror)
}

async function layer(mirror: Mirror): Promise<Answer> {
  return judged(LAYER_PATH, 200, LAYER.digest, mirror)
}

async function range(mirror: Mirror, first: number, last: number): Promise<Answer> {
  const expected = digestOf(LAYER.bytes.subarray(first, last + 1))
  return judged(LAYER_PATH, 206, expected, mirror, { range: `bytes=${first}-${last}` })
}

async function judged(
  path: string,
  success: number,
  digest: string,
  { url }: Mirror,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  try {
    const got = await download({ url, path, headers, idleMs: 5000 })
    if (got.status >= 500) return 'refused'
    if (got.status !== success) return `wrong: ${path} was answered ${got.status}`
    if (!got.complete) return 'cut'
    return got.digest === digest ? 'right' : `wrong: ${path} is ${got.digest}`
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ECONNRESET') return 'cut'
    throw error
  }
}

function layerOf({ blobs }: FakeImage): FakeBlob {
  const last = blobs.at(-1)
  if (last === undefined) throw new Error('An image has a layer.')
  return last
}
