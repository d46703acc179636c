import { describe, expect, it } from 'vitest'
import { createPassThrough } from '../../src/cache/pass-through.ts'
import { createDigestHash, digestOf } from '../../src/oci/digest.ts'
import { UpstreamError } from '../../src/upstream/upstream.ts'
import { within } from '../support/until.ts'
import { blob, KIB, readToEnd, rejection, signal } from './fill-under-test.ts'
import { scriptUpstream, type Connection } from './scripted-upstream.ts'

function passThrough(
  script: readonly Connection[] = [],
  sent: Buffer = blob,
  prefixBytes?: number,
) {
  const upstream = scriptUpstream(sent, script)
  const prefix = prefixBytes === undefined ? undefined : prefixOf(prefixBytes)
  const { connect } = upstream
  const source = createPassThrough({ digest: digestOf(blob), size: blob.length, connect }, prefix)
  return { source, upstream }
}

function prefixOf(position: number) {
  return { hash: createDigestHash('sha256').update(blob.subarray(0, position)), position }
}

function spoilt(at: number) {
  const bytes = Buffer.from(blob)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  return bytes
}

describe('a blob that is passed through', () => {
  it('is what upstream has, over one connection', async () => {
    const { source, upstream } = passThrough()

    expect(digestOf(await readToEnd(source))).toBe(digestOf(blob))

    expect(upstream.offsets).toEqual([0])
    expect(upstream.bodies.map((body) => body.destroyed)).toEqual([true])
  })

  it('goes on at the next byte when the connection breaks', async () => {
    const { source, upstream } = passThrough([{ end: 70_000, ending: 'cut' }, { end: 190_000 }])

    expect(digestOf(await readToEnd(source))).toBe(digestOf(blob))

    expect(upstream.offsets).toEqual([0, 70_000, 190_000])
  })

  it('goes on after a part that the client had from elsewhere', async () => {
    const { source, upstream } = passThrough([], blob, 100_000)
    const bytes = Buffer.alloc(blob.length - 100_000)
    for (let done = 0; done < bytes.length;) {
      done += await within(source.read(bytes.subarray(done), 100_000 + done, signal))
    }
    await source.close()

    expect(bytes.equals(blob.subarray(100_000))).toBe(true)
    expect(upstream.offsets).toEqual([100_000])
  })

  it.each([0, 100_000, blob.length - 1])(
    'never ends when byte %i of it is wrong',
    async (position) => {
      const { source, upstream } = passThrough([], spoilt(position))
      let received = 0
      const failure = await rejection(
        (async () => {
          for (;;) {
            const count = await within(source.read(Buffer.alloc(32 * KIB), received, signal))
            if (count === 0) return
            received += count
          }
        })(),
      )
      await source.close()

      expect(failure).toMatchObject({ name: 'UpstreamError', reason: 'corrupt' })
      expect(received).toBe(blob.length - 64 * KIB)
      expect(upstream.distrusted()).toBe(1)
      expect(upstream.bodies.map((body) => body.destroyed)).toEqual([true])
    },
  )

  it('can be read from any place, though a part cannot be checked', async () => {
    const { source, upstream } = passThrough()
    const buffer = Buffer.alloc(1000)

    const count = await source.read(buffer, 150_000, signal)
    await source.close()

    expect(buffer.subarray(0, count).equals(blob.subarray(150_000, 150_000 + count))).toBe(true)
    expect(upstream.offsets).toEqual([150_000])
  })

  it('skips what comes before where upstream ignores ranges', async () => {
    const { source } = passThrough([{ ignoresRange: true }])
    const buffer = Buffer.alloc(1000)

    const count = await source.read(buffer, 150_000, signal)
    await source.close()

    expect(buffer.subarray(0, count).equals(blob.subarray(150_000, 150_000 + count))).toBe(true)
  })

  it.each<[string, Connection]>([
    ['another length', { says: blob.length + 1 }],
    ['another part', { skips: 1 }],
  ])('is refused when upstream sends %s', async (_, connection) => {
    const { source, upstream } = passThrough([connection])

    await expect(within(source.read(Buffer.alloc(1), 0, signal))).rejects.toMatchObject({
      reason: 'corrupt',
    })

    await source.close()
    expect(upstream.bodies.map((body) => body.destroyed)).toEqual([true])
  })

  it('ends after three connections that bring nothing', async () => {
    const refused = { refused: 'unavailable' } as const
    const { source, upstream } = passThrough([refused, refused, refused])

    await expect(within(source.read(Buffer.alloc(1), 0, signal))).rejects.toMatchObject({
      reason: 'unavailable',
    })

    await source.close()
    expect(upstream.offsets).toEqual([0, 0, 0])
  })

  it('ends at once when the client leaves', async () => {
    const { source } = passThrough()
    const leaving = new AbortController()
    leaving.abort(new Error('The client left.'))

    await expect(within(source.read(Buffer.alloc(1), 0, leaving.signal))).rejects.toThrow('left')

    await source.close()
  })

  it('is not asked for beyond its end', async () => {
    const { source, upstream } = passThrough()

    expect(await source.read(Buffer.alloc(1), blob.length, signal)).toBe(0)

    await source.close()
    expect(upstream.offsets).toEqual([])
  })

  it('gives its end once more to whoever reads that again', async () => {
    const { source, upstream } = passThrough()
    await within(source.read(Buffer.alloc(1), 0, signal))
    const bytes = Buffer.alloc(blob.length)
    for (let done = 1; done < bytes.length;) {
      done += await within(source.read(bytes.subarray(done), done, signal))
    }
    const again = Buffer.alloc(10)

    const count = await source.read(again, blob.length - 10, signal)
    await source.close()

    expect(again.subarray(0, count).equals(blob.subarray(-10))).toBe(true)
    expect(upstream.offsets).toEqual([0])
  })

  it('is what upstream has, where upstream does not say how long it is', async () => {
    const { source } = passThrough([{ says: 'nothing' }])

    expect(digestOf(await readToEnd(source))).toBe(digestOf(blob))
  })

  it('fails as upstream says when its body says what is wrong', async () => {
    const ending = new UpstreamError('corrupt', 'The chunks are malformed.')
    const { source } = passThrough([{ end: 0, ending }])

    expect(await rejection(source.read(Buffer.alloc(1), 0, signal))).toBe(ending)

    await source.close()
  })
})
