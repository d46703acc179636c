import { readdir, truncate, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createManifestStore, type ManifestStore } from '../../src/cache/manifest-store.ts'
import { digestAlgorithm, digestHex, digestOf, type Digest } from '../../src/oci/digest.ts'
import { MANIFEST_MAX_BYTES, OCI_INDEX } from '../../src/oci/manifest.ts'
import { parseRepository } from '../../src/oci/reference.ts'
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

/** A second one on the same content has nothing in memory. */
function storeOn(content: StoredContent): ManifestStore {
  return createManifestStore({ ...content, now: () => 1234 })
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

    expect(kept).toEqual({ digest, mediaType: OCI_IMAGE, bytes })
    expect(await manifests.load(digest)).toEqual(kept)
    expect(await storeOn(content).load(digest)).toEqual(kept)
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
    expect(await blobs.leastRecentlyUsed(10)).toEqual([])
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

  it('is one that the disk has no room for', async () => {
    await using content = await openStoredContent()
    const full = new Error('ENOSPC')
    const store = { ...content.store, adopt: () => Promise.reject(full) }
    const manifests = storeOn({ ...content, store })

    await expect(manifests.keep(app, digest, received(bytes))).rejects.toBe(full)

    await expectNothingKept(content, manifests, digest)
  })
})

describe('a manifest whose file was changed behind our back', () => {
  it.each([
    ['gone', (path: string) => unlink(path)],
    ['truncated', (path: string) => truncate(path, 10)],
    ['empty', (path: string) => truncate(path, 0)],
    ['longer', (path: string) => writeFile(path, `${text} `)],
    ['another', (path: string) => writeFile(path, text.replace('6}', '7}'))],
  ])('and is %s is a miss', async (_, change) => {
    await using content = await openStoredContent()
    await storeOn(content).keep(app, digest, received(bytes))
    await change(pathOf(content, digest))

    expect(await storeOn(content).load(digest)).toBeUndefined()
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
