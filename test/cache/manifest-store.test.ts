import { readdir, truncate, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createManifestStore, type ManifestStore } from '../../src/cache/manifest-store.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import { digestAlgorithm, digestHex, digestOf, type Digest } from '../../src/oci/digest.ts'
import { MANIFEST_MAX_BYTES, OCI_INDEX } from '../../src/oci/manifest.ts'
import { parseRepository } from '../../src/oci/reference.ts'
import { StorageError } from '../../src/storage-error.ts'
import type { UpstreamManifest } from '../../src/upstream/upstream.ts'
import { openStoredContent, type StoredContent } from './stored-content.ts'

const OCI_IMAGE = 'application/vnd.oci.image.manifest.v1+json'
const app = { upstream: 'docker.io', repository: parseRepository('library/app') }
const config = digestOf(Buffer.from('config'))
const layer = digestOf(Buffer.from('layer'))

// Spaced as no serialiser would: the bytes must stay as they are.
const text = `{ "schemaVersion":2,
  "config" : {"digest":"${config}", "size": 6},
  "layers":[{"size":5,"digest":"${layer}"}] , "layersCount" : 1.0 }\n`
const bytes = Buffer.from(text)
const digest = digestOf(bytes)

function received(content: Buffer, contentType: string | undefined = OCI_IMAGE): UpstreamManifest {
  return { bytes: content, contentType, size: content.length, digest: undefined }
}

interface Told {
  readonly used: Digest[]
  readonly damaged: Digest[]
  readonly lines: string[]
}

/** A second one on the same content has nothing in memory. */
function storeOn(
  content: Pick<StoredContent, 'catalog' | 'store' | 'spool'>,
  told: Told = { used: [], damaged: [], lines: [] },
): ManifestStore {
  const { catalog, store, spool } = content
  return createManifestStore({
    catalog,
    store,
    spool,
    metrics: createMetrics(),
    log: createLog({ write: (line) => void told.lines.push(line) }),
    now: () => 1234,
    used: (name) => void told.used.push(name),
    damaged: (name) => void told.damaged.push(name),
  })
}

function pathOf({ folder }: StoredContent, name: Digest): string {
  const hex = digestHex(name)
  return join(folder, 'blobs-v1', digestAlgorithm(name), hex.slice(0, 2), hex)
}

describe('a manifest that is kept', () => {
  it('is loaded with the same bytes, from memory and from disk', async () => {
    await using content = await openStoredContent()
    const manifests = storeOn(content)

    const kept = await manifests.keep(app, digest, received(bytes))

    expect(kept).toEqual({
      manifest: { digest, mediaType: OCI_IMAGE, bytes },
      failure: undefined,
    })
    expect(await manifests.load(digest)).toEqual(kept.manifest)
    expect(await storeOn(content).load(digest)).toEqual(kept.manifest)
    expect(await readdir(join(content.folder, 'spool'))).toEqual([])
  })

  it('is proven for its repository, tells the sizes of what it refers to, and is counted', async () => {
    await using content = await openStoredContent()
    await storeOn(content).keep(app, digest, received(bytes))
    const { contents, blobs } = content.catalog

    expect(await contents.isProven(app, digest)).toBe(true)
    for (const part of [config, layer]) expect(await contents.isProven(app, part)).toBe(false)
    expect(await contents.expectedSize(app, layer)).toBe(5)
    expect(await blobs.totalSize()).toBe(bytes.length)
    expect(await blobs.leastRecentlyUsed(10)).toEqual([
      { digest, size: bytes.length, usedAt: 1234, isManifest: true },
    ])
  })

  it('is served from memory while it is hot', async () => {
    await using content = await openStoredContent()
    const manifests = storeOn(content)
    await manifests.keep(app, digest, received(bytes))
    await unlink(pathOf(content, digest))

    expect((await manifests.load(digest))?.bytes).toEqual(bytes)
    expect(await storeOn(content).load(digest)).toBeUndefined()
  })

  it('is read from disk once, and then from memory', async () => {
    await using content = await openStoredContent()
    await storeOn(content).keep(app, digest, received(bytes))
    const manifests = storeOn(content)
    await manifests.load(digest)
    await unlink(pathOf(content, digest))

    expect((await manifests.load(digest))?.bytes).toEqual(bytes)
  })

  it('E-21: is verified with the algorithm of its digest', async () => {
    await using content = await openStoredContent()
    const named = digestOf(bytes, 'sha512')

    await storeOn(content).keep(app, named, received(bytes))

    expect((await storeOn(content).load(named))?.bytes).toEqual(bytes)
    expect(await storeOn(content).load(digest)).toBeUndefined()
  })

  it('E-23: keeps the media type that it was first found to have', async () => {
    await using content = await openStoredContent()
    await storeOn(content).keep(app, digest, received(bytes, `${OCI_IMAGE}; charset=utf-8`))
    await storeOn(content).keep(app, digest, received(bytes, 'text/plain'))

    expect((await storeOn(content).load(digest))?.mediaType).toBe(OCI_IMAGE)
  })

  it('E-24: may be as large as any client takes', async () => {
    await using content = await openStoredContent()
    const start = '{"manifests":[],"annotations":{"x":"'
    const fill = 'x'.repeat(MANIFEST_MAX_BYTES - start.length - 3)
    const large = Buffer.from(`${start}${fill}"}}`)

    await storeOn(content).keep(app, digestOf(large), received(large, OCI_INDEX))

    expect(large).toHaveLength(MANIFEST_MAX_BYTES)
    const loaded = await storeOn(content).load(digestOf(large))
    expect(digestOf(loaded?.bytes ?? bytes)).toBe(digestOf(large))
  })
})

describe('a manifest that is not kept', () => {
  it.each([
    [
      'E-14: bytes that are not the digest',
      Buffer.from(text.replace('"layers"', '"Layers"')),
      'corrupt',
    ],
    ['E-22: nothing at all', Buffer.alloc(0), 'corrupt'],
  ])('is %s', async (_, wrong, reason) => {
    await using content = await openStoredContent()
    const manifests = storeOn(content)

    await expect(manifests.keep(app, digest, received(wrong))).rejects.toMatchObject({ reason })

    await expectNothingKept(content, manifests, digest)
  })

  it.each([
    ['an error page', '<html>Sign in</html>'],
    ['an index and an image at once', '{"manifests":[],"layers":[]}'],
    ['deeply nested', `{"manifests":${'['.repeat(100)}${']'.repeat(100)}}`],
  ])('is %s', async (_, wrong) => {
    await using content = await openStoredContent()
    const manifests = storeOn(content)
    const named = digestOf(Buffer.from(wrong))

    await expect(
      manifests.keep(app, named, received(Buffer.from(wrong), OCI_INDEX)),
    ).rejects.toMatchObject({ code: 'MANIFEST_INVALID' })

    await expectNothingKept(content, manifests, named)
  })
})

describe('a manifest that the disk has no room for', () => {
  it.each<[string, (content: StoredContent) => Partial<StoredContent>, string]>([
    ['no file can be made', ({ spool }) => ({ spool: { ...spool, create: full } }), 'full'],
    ['the file cannot be adopted', ({ store }) => ({ store: { ...store, adopt: full } }), 'full'],
    ['it cannot be written', failingFile, 'broken'],
    [
      'no row can be written',
      ({ catalog }) => ({ catalog: { ...catalog, blobs: { ...catalog.blobs, put: full } } }),
      'full',
    ],
  ])('is served from memory until a start: %s', async (_, broken, code) => {
    await using content = await openStoredContent()
    const told = { used: [], damaged: [], lines: [] }
    const manifests = storeOn({ ...content, ...broken(content) }, told)

    const { manifest, failure } = await manifests.keep(app, digest, received(bytes))

    expect(manifest.bytes).toEqual(bytes)
    expect(failure).toMatchObject({ name: 'StorageError', code })
    expect((await manifests.load(digest))?.bytes).toEqual(bytes)
    expect(told.lines.join()).toContain('a manifest could not be stored')
    expect(await storeOn(content).load(digest)).toBeUndefined()
    expect(await readdir(join(content.folder, 'spool'))).toEqual([])
  })

  it('is still refused when it is not the digest', async () => {
    await using content = await openStoredContent()
    const manifests = storeOn({ ...content, store: { ...content.store, adopt: full } })

    await expect(manifests.keep(app, digest, received(Buffer.from('{}')))).rejects.toMatchObject({
      reason: 'corrupt',
    })
    expect(await manifests.load(digest)).toBeUndefined()
  })
})

describe('a manifest whose file was changed behind our back', () => {
  it.each([
    ['gone', (path: string) => unlink(path)],
    ['truncated', (path: string) => truncate(path, 10)],
    ['empty', (path: string) => truncate(path, 0)],
    ['longer', (path: string) => writeFile(path, `${text} `)],
    ['another', (path: string) => writeFile(path, text.replace('6}', '7}'))],
  ])('and is %s is a miss, and damage unless it is gone', async (what, change) => {
    await using content = await openStoredContent()
    await storeOn(content).keep(app, digest, received(bytes))
    await change(pathOf(content, digest))
    const told = { used: [], damaged: [], lines: [] }

    expect(await storeOn(content, told).load(digest)).toBeUndefined()
    expect(told).toEqual({ used: [], damaged: what === 'gone' ? [] : [digest], lines: [] })
  })

  it('and cannot be read is a miss, is said, and is no damage', async () => {
    await using content = await openStoredContent()
    await storeOn(content).keep(app, digest, received(bytes))
    const read = () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }))
    const open = async () => ({ size: bytes.length, read, close: async () => {} })
    const told: Told = { used: [], damaged: [], lines: [] }

    const manifests = storeOn({ ...content, store: { ...content.store, open } }, told)

    expect(await manifests.load(digest)).toBeUndefined()
    expect(told).toMatchObject({ used: [], damaged: [] })
    expect(told.lines.join()).toContain('"failure":"broken"')
  })

  it('while it is read is a miss', async () => {
    await using content = await openStoredContent()
    await storeOn(content).keep(app, digest, received(bytes))
    const open = async () => ({ size: bytes.length, read: async () => 0, close: async () => {} })
    const manifests = storeOn({ ...content, store: { ...content.store, open } })

    expect(await manifests.load(digest)).toBeUndefined()
  })

  it('is healed when it is kept again', async () => {
    await using content = await openStoredContent()
    await storeOn(content).keep(app, digest, received(bytes))
    await truncate(pathOf(content, digest), 10)
    await storeOn(content).keep(app, digest, received(bytes))

    expect((await storeOn(content).load(digest))?.bytes).toEqual(bytes)
  })
})

describe('a manifest in memory', () => {
  it('is forgotten when this is asked for', async () => {
    await using content = await openStoredContent()
    const manifests = storeOn(content)
    await manifests.keep(app, digest, received(bytes))
    await unlink(pathOf(content, digest))

    manifests.forget(digest)

    expect(await manifests.load(digest)).toBeUndefined()
  })

  it('counts as used each time it is loaded', async () => {
    await using content = await openStoredContent()
    const told: Told = { used: [], damaged: [], lines: [] }
    await storeOn(content).keep(app, digest, received(bytes))
    const manifests = storeOn(content, told)

    for (let load = 0; load < 3; load += 1) await manifests.load(digest)
    await manifests.load(config)

    expect(told.used).toEqual([digest, digest, digest])
  })
})

describe('a stored manifest of another repository', () => {
  it('is linked with what it refers to', async () => {
    await using content = await openStoredContent()
    const manifests = storeOn(content)
    const other = { upstream: 'docker.io', repository: parseRepository('library/other') }
    const { manifest } = await manifests.keep(app, digest, received(bytes))

    await manifests.link(other, manifest)

    const { contents } = content.catalog
    expect(await contents.isProven(other, digest)).toBe(true)
    expect(await contents.isProven(other, layer)).toBe(false)
    expect(await contents.expectedSize(other, layer)).toBe(5)
  })
})

function full(): Promise<never> {
  return Promise.reject(new StorageError('full', 'The disk is full.'))
}

/** The file is made, and takes nothing. */
function failingFile({ spool }: StoredContent): Partial<StoredContent> {
  return {
    spool: {
      ...spool,
      async create(name) {
        const file = await spool.create(name)
        file.handle.writeFile = () =>
          Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }))
        return file
      },
    },
  }
}

async function expectNothingKept(
  content: StoredContent,
  manifests: ManifestStore,
  name: Digest,
): Promise<void> {
  expect(await manifests.load(name)).toBeUndefined()
  expect(await content.store.size(name)).toBeUndefined()
  expect(await content.catalog.contents.isProven(app, name)).toBe(false)
  expect(await content.catalog.blobs.totalSize()).toBe(0)
  expect(await readdir(join(content.folder, 'spool'))).toEqual([])
}
