/** Random histories of an evictor, beside a small model of what must be in the store after each step. */
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Reservation } from '../../src/cache/evict.ts'
import { digestOf, type Digest } from '../../src/oci/digest.ts'
import { createEvictorUnderTest, putImage, type EvictorUnderTest } from './evictor-under-test.ts'
import { openStoredContent, type StoredContent } from './stored-content.ts'

interface ModelBlob {
  readonly digest: Digest
  readonly size: number
  readonly kind: 'layer' | 'pinned' | 'manifest'
}

type Step =
  | { readonly do: 'fill'; readonly size: number; readonly pinned: boolean }
  | { readonly do: 'reserve'; readonly size: number }
  | { readonly do: 'release' | 'hold' | 'letGo'; readonly at: number }
  | { readonly do: 'makeRoom' }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('fill' as const),
      size: fc.integer({ min: 3, max: 40 }),
      pinned: fc.boolean(),
    }),
  },
  fc.record({ do: fc.constant('reserve' as const), size: fc.integer({ min: 1, max: 60 }) }),
  fc.record({ do: fc.constantFrom('release' as const, 'hold', 'letGo'), at: fc.nat({ max: 20 }) }),
  fc.record({ do: fc.constant('makeRoom' as const) }),
)

const limits = fc
  .tuple(fc.integer({ min: 20, max: 150 }), fc.double({ min: 0, max: 1, noNaN: true }))
  .map(([budget, share]) => ({ budget, lowWatermark: Math.floor(budget * share) }))

/** Content in the order of its last use, what is held, and what is reserved. */
function createModel({ budget, lowWatermark }: { budget: number; lowWatermark: number }) {
  let blobs: ModelBlob[] = []
  const held: Digest[] = []
  const reservations: number[] = []
  const sum = (sizes: readonly number[]) => sizes.reduce((a, b) => a + b, 0)
  const reserved = () => sum(reservations)
  const stored = () => sum(blobs.map(({ size }) => size))
  const canGo = ({ kind, digest }: ModelBlob) => kind === 'layer' && !held.includes(digest)

  /** @returns whether a blob of this size fits then; nothing is removed in vain for one */
  function makeRoomFor(size: number): boolean {
    const missing = stored() + reserved() + size - budget
    if (missing <= 0) return true
    const removable = blobs.filter(canGo)
    const enough = sum(removable.map((blob) => blob.size)) >= missing && size <= budget
    if (!enough && size > 0) return false
    const wanted = Math.max(missing, stored() + reserved() - lowWatermark)
    const going = new Set<ModelBlob>()
    for (const blob of removable) {
      if (sum([...going].map((gone) => gone.size)) < wanted) going.add(blob)
    }
    blobs = blobs.filter((blob) => !going.has(blob))
    return enough
  }

  return {
    held,
    reservations,
    makeRoomFor,
    stored,
    reserved,
    add: (blob: ModelBlob) => void blobs.push(blob),
    digests: () => blobs.map(({ digest }) => digest),
    removable: () => blobs.filter(canGo).length,
  }
}

type Model = ReturnType<typeof createModel>

interface History {
  readonly content: StoredContent
  readonly under: EvictorUnderTest
  readonly model: Model
  readonly reservations: Reservation[]
  readonly letGo: (() => void)[]
  time: number
}

const RUN: {
  [Name in Step['do']]: (history: History, step: Step & { do: Name }) => Promise<void>
} = {
  async fill({ content, under, model, ...history }, { size, pinned }) {
    // As long as the smallest blob, so that no two have the same bytes.
    const name = String(history.time).padStart(3, '0')
    const digest = digestOf(Buffer.alloc(size, name))
    const reservation = await under.evictor.reserve({ digest, size })
    expect(reservation !== undefined).toBe(model.makeRoomFor(size))
    if (reservation === undefined) return
    await content.put(name, size, history.time)
    model.add({ digest, size, kind: pinned ? 'pinned' : 'layer' })
    reservation.release()
    if (!pinned) return
    const image = { usedAt: history.time + 1, children: [digest] }
    const manifest = await putImage(content, `keep-${history.time}`, image)
    model.add({ digest: manifest, size: 10, kind: 'manifest' })
  },
  async reserve({ under, model, reservations }, { size }) {
    const digest = digestOf(Buffer.from('to come'))
    const reservation = await under.evictor.reserve({ digest, size })
    expect(reservation !== undefined).toBe(model.makeRoomFor(size))
    if (reservation === undefined) return
    reservations.push(reservation)
    model.reservations.push(size)
  },
  async release({ model, reservations }, { at }) {
    reservations.splice(at, 1)[0]?.release()
    model.reservations.splice(at, 1)
  },
  async hold({ under, model, letGo }, { at }) {
    const digest = model.digests()[at]
    if (digest === undefined) return
    letGo.push(under.inUse.hold(digest))
    model.held.push(digest)
  },
  async letGo({ model, letGo }, { at }) {
    letGo.splice(at, 1)[0]?.()
    model.held.splice(at, 1)
  },
  async makeRoom({ under, model }) {
    await under.evictor.makeRoom()
    model.makeRoomFor(0)
  },
}

async function run<Name extends Step['do']>(
  history: History,
  step: Step & { do: Name },
): Promise<void> {
  await RUN[step.do](history, step)
}

async function storedDigests({ store }: StoredContent): Promise<Digest[]> {
  const digests: Digest[] = []
  for await (const { digest } of store.list()) digests.push(digest)
  return digests.toSorted()
}

it('keeps what the model keeps, and is over the budget only by what must stay', async () => {
  await fc.assert(
    fc.asyncProperty(limits, fc.array(step, { maxLength: 25 }), async (disk, steps) => {
      await using content = await openStoredContent()
      await using under = createEvictorUnderTest(content, disk, () => true)
      const model = createModel(disk)
      const history = { content, under, model, reservations: [], letGo: [], time: 0 }

      for (const next of steps) {
        await run(history, next)
        history.time += 2
        expect(await storedDigests(content)).toEqual(model.digests().toSorted())
        expect(await content.catalog.blobs.totalSize()).toBe(model.stored())
      }

      await under.evictor.makeRoom()
      model.makeRoomFor(0)
      expect(await storedDigests(content)).toEqual(model.digests().toSorted())
      const over = model.stored() + model.reserved() > disk.budget
      expect(over && model.removable() > 0).toBe(false)
    }),
    { numRuns: Number(process.env['ENTREPOT_RUNS'] ?? 60) },
  )
})
