import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fileRule, readPattern } from '../../src/access/rule.ts'
import { anyText } from '../oci/names.ts'

describe('readPattern', () => {
  it.each([
    ['docker.io/library/redis', 'docker.io/library/redis', undefined],
    ['docker.io/redis', 'docker.io/library/redis', undefined],
    ['docker.io/redis:7', 'docker.io/library/redis', '7'],
    ['docker.io/*', 'docker.io/library/*', undefined],
    ['docker.io/**', 'docker.io/**', undefined],
    ['docker.io/team/*', 'docker.io/team/*', undefined],
    ['index.docker.io/redis', 'docker.io/library/redis', undefined],
    ['registry-1.docker.io/team/app:v1', 'docker.io/team/app', 'v1'],
    ['Quay.IO/team/app', 'quay.io/team/app', undefined],
    ['quay.io:443/team/app', 'quay.io/team/app', undefined],
    ['quay.io/redis', 'quay.io/redis', undefined],
    ['registry.lan:5000/app', 'registry.lan:5000/app', undefined],
    ['registry.lan:5000/app:7.*', 'registry.lan:5000/app', '7.*'],
    ['*/team/app', '*/team/app', undefined],
    ['**', '**', undefined],
    ['**:nightly', '**', 'nightly'],
    ['**/app', '**/app', undefined],
    ['quay.io/app:', 'quay.io/app', ''],
  ])('takes %s for %s and the tag %s', (text, name, tag) => {
    expect(readPattern(text)).toEqual({ name, tag })
  })

  it('reads its own spelling as the same', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const { name, tag } = readPattern(text)
        fc.pre(!/^[^/]*:443(?:\/|$)/.test(name))

        expect(readPattern(tag === undefined ? name : `${name}:${tag}`)).toEqual({ name, tag })
      }),
      { numRuns: 2000 },
    )
  })
})

describe('a line of the file', () => {
  it('is called by its place, belongs to nobody, and never ends', () => {
    expect(fileRule('deny', 'quay.io/**', { place: 3 })).toEqual({
      id: 'file:deny:3',
      effect: 'deny',
      pattern: 'quay.io/**',
      origin: 'file',
      reason: undefined,
      owner: undefined,
      createdAt: undefined,
      expiresAt: undefined,
      minAge: 0,
    })
  })

  it('may ask for an age', () => {
    expect(fileRule('allow', '**', { place: 0, minAge: 5000 }).minAge).toBe(5000)
  })
})
