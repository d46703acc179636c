import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  createDigestHash,
  digestAlgorithm,
  digestHex,
  digestOf,
  isDigest,
  parseDigest,
} from '../../src/oci/digest.ts'
import { digests, textOver } from './names.ts'
import { refusal } from './refusal.ts'

const REFERENCE = /^(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$/

const algorithms = fc.constantFrom('sha256', 'sha384', 'sha512')

describe('parseDigest', () => {
  it('accepts every digest of a known algorithm, and takes it apart', () => {
    fc.assert(
      fc.property(digests, (digest) => {
        expect(parseDigest(digest)).toBe(digest)
        expect(`${digestAlgorithm(digest)}:${digestHex(digest)}`).toBe(digest)
      }),
    )
  })

  it('refuses a digest of which one character was changed, added or taken away', () => {
    const edits = fc.record({
      digest: digests,
      at: fc.nat({ max: 140 }),
      remove: fc.nat({ max: 1 }),
      insert: textOver('0aAgG:/.%\n\u0000é', 1),
    })
    fc.assert(
      fc.property(edits, ({ digest, at, remove, insert }) => {
        const text = digest.slice(0, at) + insert + digest.slice(at + remove)

        expect(isDigest(text)).toBe(REFERENCE.test(text))
      }),
      { numRuns: 2000 },
    )
  })

  it.each([
    ['', 'nothing'],
    [':', 'only a colon'],
    ['sha256:', 'no hex'],
    ['sha256', 'no colon'],
    ['a'.repeat(64), 'no algorithm'],
    [`sha256:${'a'.repeat(63)}`, 'one digit too few'],
    [`sha256:${'a'.repeat(65)}`, 'one digit too many'],
    [`sha256:${'a'.repeat(128)}`, 'the length of another algorithm'],
    [`sha256:${'A'.repeat(64)}`, 'upper-case hex'],
    [`SHA256:${'a'.repeat(64)}`, 'an upper-case algorithm'],
    [`sha256:${'g'.repeat(64)}`, 'letters that are no hex'],
    [`sha256:../${'a'.repeat(61)}`, 'a path'],
    [`sha256:${'a'.repeat(64)}\n`, 'a line feed at the end'],
    [`constructor:${'a'.repeat(64)}`, 'a property of every object for an algorithm'],
  ])('E-42: refuses %j, which has %s', (text) => {
    expect(refusal(() => parseDigest(text))).toBe('DIGEST_INVALID')
  })

  it.each(['md5', 'sha1', 'sha224', 'blake3', 'sha512-256'])(
    'E-21: refuses %s, which cannot be verified here',
    (algorithm) => {
      expect(refusal(() => parseDigest(`${algorithm}:${'0'.repeat(64)}`))).toBe('DIGEST_INVALID')
    },
  )

  it('does not repeat an endless digest in its error', () => {
    const run = () => parseDigest('x'.repeat(10_000))

    expect(run).toThrow(expect.objectContaining({ detail: { digest: 'x'.repeat(200) } }))
  })

  it('takes no other type for a digest', () => {
    for (const value of [undefined, null, 7, {}, ['sha256:'], true]) {
      expect(isDigest(value)).toBe(false)
    }
  })
})

describe('digestOf', () => {
  it('E-25: knows the digests of no bytes and of two', () => {
    expect(digestOf(Buffer.alloc(0))).toBe(
      'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    )
    expect(digestOf(Buffer.from('{}'))).toBe(
      'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
    )
  })

  it('E-21: hashes with the algorithm that is asked for', () => {
    const bytes = fc.uint8Array({ maxLength: 300 })
    fc.assert(
      fc.property(bytes, algorithms, (content, algorithm) => {
        const digest = digestOf(content, algorithm)

        expect(parseDigest(digest)).toBe(digest)
        expect(digestHex(digest)).toBe(createHash(algorithm).update(content).digest('hex'))
      }),
    )
  })

  it('agrees with a running hash, however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 })), algorithms, (chunks, algorithm) => {
        const hash = createDigestHash(algorithm)
        for (const chunk of chunks) hash.update(chunk)

        expect(`${algorithm}:${hash.digest('hex')}`).toBe(
          digestOf(Buffer.concat(chunks), algorithm),
        )
      }),
    )
  })
})
