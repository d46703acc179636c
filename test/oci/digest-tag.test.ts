import { describe, expect, it } from 'vitest'
import { parseDigest } from '../../src/oci/digest.ts'
import { referrersTag, subjectOfTag } from '../../src/oci/digest-tag.ts'

const SHA256 = parseDigest(`sha256:${'a'.repeat(64)}`)
const SHA512 = parseDigest(`sha512:${'b'.repeat(128)}`)

describe('a tag that is made of a digest', () => {
  it('has 64 characters of it at most', () => {
    expect(referrersTag(SHA256)).toBe(`sha256-${'a'.repeat(64)}`)
    expect(referrersTag(SHA512)).toBe(`sha512-${'b'.repeat(64)}`)
  })

  it.each([
    [`sha256-${'a'.repeat(64)}`, SHA256],
    [`sha256-${'a'.repeat(64)}.sig`, SHA256],
    [`sha256-${'a'.repeat(64)}.att`, SHA256],
    [`sha512-${'b'.repeat(128)}.sbom`, SHA512],
    [`sha512-${'b'.repeat(64)}`, undefined],
    [`sha256-${'a'.repeat(63)}`, undefined],
    [`sha256-${'A'.repeat(64)}`, undefined],
    [`sha256-${'a'.repeat(64)}.sig.sig`, undefined],
    [`sha256:${'a'.repeat(64)}`, undefined],
    ['latest', undefined],
    ['', undefined],
  ])('%s is about its subject', (tag, subject) => {
    expect(subjectOfTag(tag)).toBe(subject)
  })
})
