import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { parseRepository, parseTag } from '../../src/oci/reference.ts'
import { StorageError } from '../../src/storage-error.ts'
import { UpstreamError } from '../../src/upstream/upstream.ts'
import { buildImage } from '../fakes/images.ts'
import { APP, openManifests, outage, V1 } from './manifests-under-test.ts'
import type { StoredContent } from './stored-content.ts'

const OLD = buildImage({ seed: 'old' })

describe('a data folder in trouble', () => {
  it('costs no answer, and the next pulls are served from memory', async () => {
    await using it = await openManifests({}, fullDisk)
    it.upstream.push('v1', OLD.bytes)

    expect(await it.pull()).toMatchObject({ digest: OLD.digest, outcome: 'miss' })
    expect(await it.pull()).toMatchObject({ bytes: OLD.bytes, outcome: 'hit' })
    expect((await it.manifests.byDigest(APP, OLD.digest, true)).outcome).toBe('hit')
    it.clock.now += 1000
    expect((await it.pull()).outcome).toBe('revalidated')
    it.upstream.mood.failure = outage()
    it.clock.now += 1000
    expect((await it.pull()).outcome).toBe('stale')

    expect(it.upstream.asked).toEqual(['GET v1', 'HEAD v1', 'HEAD v1'])
    const page = await it.page()
    expect(page).toMatch(/^entrepot_passed_through_total\{reason="disk"\} 1$/m)
    expect(page).toMatch(/^entrepot_storage_failures_total\{failure="full"\} [1-9]/m)
    expect(it.lines.join()).toContain('a manifest could not be stored')
  })

  it('makes a stored manifest a miss while upstream can serve it', async () => {
    await using it = await openManifests({}, unreadable)
    it.upstream.push('v1', OLD.bytes)

    expect((await it.pull()).outcome).toBe('miss')
    const again = it.restarted()
    expect((await again.byTag(APP, V1, true)).bytes).toEqual(OLD.bytes)
    expect((await again.byDigest(APP, OLD.digest, true)).bytes).toEqual(OLD.bytes)
  })

  it('does not keep a digest from being proven for the moment', async () => {
    await using it = await openManifests({}, fullDisk)
    it.upstream.push('v1', OLD.bytes)
    const other = { ...APP, repository: parseRepository('library/other') }
    await it.pull()

    for (let pull = 0; pull < 3; pull += 1) {
      expect((await it.manifests.byDigest(other, OLD.digest, true)).outcome).toBe('hit')
    }
    expect(it.upstream.asked).toEqual(['GET v1', `HEAD ${OLD.digest}`])
  })

  it('does not hide a mistake of ours', async () => {
    const mistake = new TypeError('Cannot read properties of undefined')
    const broken = ({ catalog }: StoredContent) => ({
      catalog: { ...catalog, tags: { ...catalog.tags, find: () => Promise.reject(mistake) } },
    })
    await using it = await openManifests({}, broken)

    await expect(it.pull()).rejects.toBe(mistake)
  })
})

describe('a manifest that is fetched again', () => {
  it('is stored, though it was known already', async () => {
    await using it = await openManifests()
    it.upstream.push('v1', OLD.bytes)
    await it.pull()
    await it.content.store.delete(OLD.digest)

    await it.manifests.refetch(APP, OLD.digest)

    expect(await it.content.store.size(OLD.digest)).toBe(OLD.bytes.length)
    expect(it.upstream.asked).toEqual(['GET v1', `GET ${OLD.digest}`])
  })

  it('and cannot be stored is a failure', async () => {
    await using it = await openManifests({}, fullDisk)
    it.upstream.push('v1', OLD.bytes)

    await expect(it.manifests.refetch(APP, OLD.digest)).rejects.toMatchObject({ code: 'full' })
  })

  it('and is not there any more is a failure', async () => {
    await using it = await openManifests()

    await expect(it.manifests.refetch(APP, OLD.digest)).rejects.toMatchObject({
      reason: 'not-found',
    })
  })
})

describe('what a client was given', () => {
  it('is told: bodies, by tag and by digest, and no heads', async () => {
    await using it = await openManifests()
    it.upstream.push('v1', OLD.bytes)
    await it.manifests.byTag(APP, V1, false)
    await it.manifests.byDigest(APP, OLD.digest, false)
    expect(it.pulled).toEqual([])

    await it.pull()
    await it.manifests.byDigest(APP, OLD.digest, true)
    expect(it.pulled.map(({ bytes }) => digestOf(bytes))).toEqual([OLD.digest, OLD.digest])
    await expect(it.manifests.byTag(APP, parseTag('none'), true)).rejects.toThrow(UpstreamError)
    expect(it.pulled).toHaveLength(2)
  })
})

/** Reading works, no write does. */
function fullDisk({ store, catalog }: StoredContent): Partial<StoredContent> {
  const refuse = () => Promise.reject(new StorageError('full', 'The disk is full.'))
  return {
    store: { ...store, adopt: refuse },
    catalog: {
      ...catalog,
      tags: { ...catalog.tags, put: refuse, lead: refuse },
      contents: { ...catalog.contents, prove: refuse, putManifest: refuse },
      blobs: { ...catalog.blobs, put: refuse },
    },
  }
}

/** Writing works, no read does. */
function unreadable({ store, catalog }: StoredContent): Partial<StoredContent> {
  const refuse = () => Promise.reject(new StorageError('broken', 'The disk failed.'))
  return {
    store: { ...store, open: refuse, size: refuse },
    catalog: {
      ...catalog,
      tags: { ...catalog.tags, find: refuse },
      contents: { ...catalog.contents, findManifest: refuse, isProven: refuse },
    },
  }
}
