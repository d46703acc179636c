import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createDamage, type Damage } from '../../src/cache/damage.ts'
import { reconcile } from '../../src/cache/reconcile.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics, type Metrics } from '../../src/metrics.ts'
import { digestHex, type Digest } from '../../src/oci/digest.ts'
import { StorageError } from '../../src/storage-error.ts'
import { createGate } from '../fakes/gate.ts'
import { putImage } from './evictor-under-test.ts'
import { cutOff, flipBit, vanish } from './rot.ts'
import { openStoredContent, type StoredContent } from './stored-content.ts'

interface DamageUnderTest {
  readonly damage: Damage
  readonly metrics: Metrics
  readonly healed: Digest[]
  readonly forgotten: Digest[]
  readonly lines: () => { readonly level: string; readonly msg: string }[]
}

function damageIn(
  content: StoredContent,
  heal: (digest: Digest, isManifest: boolean) => Promise<boolean> = async () => true,
): DamageUnderTest {
  const lines: string[] = []
  const healed: Digest[] = []
  const forgotten: Digest[] = []
  const metrics = createMetrics()
  const damage = createDamage({
    ...content,
    heal(digest, isManifest) {
      healed.push(digest)
      return heal(digest, isManifest)
    },
    onRemoved: (digest) => void forgotten.push(digest),
    metrics,
    log: createLog({ write: (line) => void lines.push(line) }),
  })
  return {
    damage,
    metrics,
    healed,
    forgotten,
    lines: () => lines.map((line) => JSON.parse(line) as { level: string; msg: string }),
  }
}

async function quarantined({ folder }: StoredContent): Promise<string[]> {
  return readdir(join(folder, 'quarantine')).catch(() => [])
}

describe('a damaged file', () => {
  it.each([
    ['a flipped bit', flipBit],
    ['a byte less', cutOff],
  ])('with %s goes aside with its row, is told of, and is fetched again', async (_, rot) => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 100, 1)
    await rot(content, digest)
    const { damage, metrics, healed, forgotten, lines } = damageIn(content)

    expect(await damage.found(digest, 'scrub')).toBe(true)

    expect(await content.store.size(digest)).toBeUndefined()
    expect(await content.catalog.blobs.size(digest)).toBeUndefined()
    expect(await quarantined(content)).toEqual([expect.stringContaining(digestHex(digest))])
    expect([healed, forgotten]).toEqual([[digest], [digest]])
    expect(lines()).toMatchObject([
      { level: 'error', digest, by: 'scrub', msg: expect.stringContaining('is damaged') as string },
      { level: 'info', digest, msg: 'a damaged file was fetched again' },
    ])
    const { text } = await metrics.render()
    expect(text).toContain('entrepot_damaged_blobs_total{found="scrub"} 1')
    expect(text).toContain('entrepot_healed_blobs_total 1')
  })

  it('is no longer known as a manifest, if it was one, and is fetched as what it was', async () => {
    await using content = await openStoredContent()
    const layer = await content.put('a', 100, 1)
    const manifest = await putImage(content, 'image', { usedAt: 1, children: [layer] })
    const fetched: [Digest, boolean][] = []
    const { damage } = damageIn(content, async (...what) => fetched.push(what) > 0)
    for (const digest of [manifest, layer]) {
      await flipBit(content, digest)
      await damage.found(digest, 'read')
    }

    expect(await content.catalog.contents.findManifest(manifest)).toBeUndefined()
    expect(fetched).toEqual([
      [manifest, true],
      [layer, false],
    ])
  })

  it('is fetched as the manifest that it was, although the store is compared while it goes aside', async () => {
    await using content = await openStoredContent()
    const manifest = await putImage(content, 'image', { usedAt: 1, children: [] })
    await flipBit(content, manifest)
    const fetched: [Digest, boolean][] = []
    const { store, catalog } = content
    const comparing: StoredContent = {
      ...content,
      store: {
        ...store,
        async quarantine(digest) {
          await store.quarantine(digest)
          const { signal } = new AbortController()
          const log = createLog({ write: () => undefined })
          const damaged = async (): Promise<void> => undefined
          await reconcile({ store, catalog, now: Date.now, damaged, log, signal })
        },
      },
    }

    await damageIn(comparing, async (...what) => fetched.push(what) > 0).damage.found(
      manifest,
      'scrub',
    )

    expect(fetched).toEqual([[manifest, true]])
  })

  it('is out of service before it is fetched again', async () => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 100, 1)
    await flipBit(content, digest)
    const sizes: unknown[] = []
    const { damage } = damageIn(content, async () => {
      sizes.push(await content.store.size(digest), await content.catalog.blobs.size(digest))
      return true
    })

    await damage.found(digest, 'read')

    expect(sizes).toEqual([undefined, undefined])
  })

  it('is dealt with once, however many have found it', async () => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 100, 1)
    await flipBit(content, digest)
    const gate = createGate()
    const { damage, healed } = damageIn(content, async () => {
      await gate.pass()
      await content.put('a', 100, 2)
      return true
    })

    const found = [1, 2, 3].map(() => damage.found(digest, 'read'))
    await gate.reached
    found.push(damage.found(digest, 'scrub'))
    gate.open()

    expect(await Promise.all(found)).toEqual([true, true, true, true])
    expect(healed).toEqual([digest])
    // Whoever comes late finds the new one, which stays.
    expect(await damage.found(digest, 'read')).toBe(false)
    expect(await content.store.size(digest)).toBe(100)
    expect(await quarantined(content)).toHaveLength(1)
  })

  it('stays missing when nobody has it any more, or asking fails', async () => {
    await using content = await openStoredContent()
    const outcomes = [
      async () => false,
      async () => {
        throw new Error('Upstream is down.')
      },
    ]
    for (const heal of outcomes) {
      const digest = await content.put('a', 100, 1)
      await flipBit(content, digest)
      const { damage, metrics, lines } = damageIn(content, heal)

      expect(await damage.found(digest, 'scrub')).toBe(true)

      expect(await content.store.size(digest)).toBeUndefined()
      expect((await metrics.render()).text).toContain('entrepot_healed_blobs_total 0')
      expect(lines().filter(({ level }) => level === 'error')).toHaveLength(1)
    }
  })

  it('that the disk cannot read is damaged too', async () => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 100, 1)
    const open = async () => {
      throw new StorageError('broken', 'The disk failed.')
    }
    const { damage } = damageIn({ ...content, store: { ...content.store, open } })

    expect(await damage.found(digest, 'read')).toBe(true)
    expect(await quarantined(content)).toHaveLength(1)
  })

  it('is deleted when it cannot be put aside', async () => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 100, 1)
    await flipBit(content, digest)
    await writeFile(join(content.folder, 'quarantine'), 'a file where the folder was to be')
    const { damage, healed, metrics } = damageIn(content)

    expect(await damage.found(digest, 'read')).toBe(true)

    expect(await content.store.size(digest)).toBeUndefined()
    expect(await content.catalog.blobs.size(digest)).toBeUndefined()
    expect(healed).toEqual([digest])
    expect((await metrics.render()).text).toContain(
      'entrepot_storage_failures_total{failure="broken"} 1',
    )
  })

  it('goes even if its row cannot', async () => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 100, 1)
    await flipBit(content, digest)
    const fail = async () => {
      throw new StorageError('read-only', 'The data folder cannot be written.')
    }
    const { blobs, contents } = content.catalog
    const catalog = {
      ...content.catalog,
      blobs: { ...blobs, remove: fail },
      contents: { ...contents, findManifest: fail },
    }
    const { damage, healed } = damageIn({ ...content, catalog })

    expect(await damage.found(digest, 'read')).toBe(true)

    expect(await content.store.size(digest)).toBeUndefined()
    expect(healed).toEqual([digest])
  })
})

describe('a file that has gone', () => {
  it('loses its row, and is fetched again', async () => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 100, 1)
    await vanish(content, digest)
    const { damage, healed } = damageIn(content)

    expect(await damage.found(digest, 'scrub')).toBe(true)

    expect(await content.catalog.blobs.size(digest)).toBeUndefined()
    expect(healed).toEqual([digest])
    expect(await quarantined(content)).toEqual([])
  })

  it('is no damage when its row has gone too: it was evicted', async () => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 100, 1)
    await vanish(content, digest)
    await content.catalog.blobs.remove(digest)
    const { damage, healed, lines } = damageIn(content)

    expect(await damage.found(digest, 'scrub')).toBe(false)
    expect([healed, lines()]).toEqual([[], []])
  })
})

describe('a false alarm', () => {
  it('changes nothing', async () => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 100, 1)
    const { damage, healed, lines } = damageIn(content)

    expect(await damage.found(digest, 'read')).toBe(false)

    expect(await content.store.size(digest)).toBe(100)
    expect(await content.catalog.blobs.size(digest)).toBe(100)
    expect([healed, lines()]).toEqual([[], []])
  })

  it('is assumed while the store cannot be looked at', async () => {
    await using content = await openStoredContent()
    const digest = await content.put('a', 100, 1)
    const open = async () => {
      throw new StorageError('exhausted', 'Too many open files.')
    }
    const { damage, metrics } = damageIn({ ...content, store: { ...content.store, open } })

    expect(await damage.found(digest, 'read')).toBe(false)
    expect(await content.store.size(digest)).toBe(100)
    expect((await metrics.render()).text).toContain('{failure="exhausted"} 1')
  })
})

it('is idle when nothing is being mended any more', async () => {
  await using content = await openStoredContent()
  const digest = await content.put('a', 100, 1)
  await flipBit(content, digest)
  const gate = createGate()
  const { damage } = damageIn(content, async () => {
    await gate.pass()
    return true
  })
  let ended = false
  const found = damage.found(digest, 'read').then(() => (ended = true))
  await gate.reached
  const idle = damage.idle().then(() => ended)
  gate.open()

  await found
  expect(await idle).toBe(true)
})
