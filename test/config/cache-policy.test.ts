import { describe, expect, it } from 'vitest'
import { parse, problems } from './fixtures.ts'

const SAFE = {
  complete: 'pulled',
  staleWhileRevalidate: 0,
  staleIfError: Number.POSITIVE_INFINITY,
  keepDeleted: true,
}

describe('what is served without upstream, and fetched unasked', () => {
  it('keeps everything that was pulled available, unless said otherwise', () => {
    expect(parse('upstreams: { quay.io: {} }').upstreams.get('quay.io')).toMatchObject(SAFE)
  })

  it('is that of the upstream, else that of the top level, each key by itself', () => {
    const { upstreams } = parse(`
complete: off
staleWhileRevalidate: 1h
staleIfError: 7d
keepDeleted: false
upstreams:
  docker.io: { complete: pulled, staleIfError: unlimited }
  gcr.io: { staleWhileRevalidate: 0s, keepDeleted: true }
  quay.io:
`)
    const top = {
      complete: 'off',
      staleWhileRevalidate: 3_600_000,
      staleIfError: 7 * 86_400_000,
      keepDeleted: false,
    }
    expect(upstreams.get('docker.io')).toMatchObject({
      ...top,
      complete: 'pulled',
      staleIfError: Number.POSITIVE_INFINITY,
    })
    expect(upstreams.get('gcr.io')).toMatchObject({
      ...top,
      staleWhileRevalidate: 0,
      keepDeleted: true,
    })
    expect(upstreams.get('quay.io')).toMatchObject(top)
  })

  it.each(['off', '"off"', "'off'"])('is switched off by complete: %s', (off) => {
    const { upstreams } = parse(`upstreams: { quay.io: { complete: ${off} } }`)
    expect(upstreams.get('quay.io')?.complete).toBe('off')
  })

  it('may be none at all in an outage', () => {
    const { upstreams } = parse('upstreams: { quay.io: { staleIfError: 0s } }')
    expect(upstreams.get('quay.io')?.staleIfError).toBe(0)
  })
})

describe.each([
  { place: 'the top level', head: 'upstreams: { quay.io: {} }\n', at: '', indent: '' },
  {
    place: 'an upstream',
    head: 'upstreams:\n  quay.io:\n',
    at: 'upstreams.quay.io.',
    indent: '    ',
  },
])('at $place', ({ head, at, indent }) => {
  it.each([
    ['complete: false', 'complete: found false; write pulled or off'],
    ['complete: all', 'complete: found "all"; write pulled or off'],
    ['complete:', 'complete: found nothing; write pulled or off'],
    [
      'staleWhileRevalidate: always',
      'staleWhileRevalidate: "always" is not a duration; write for example 5m (units s, m, h, d)',
    ],
    [
      'staleWhileRevalidate: 60',
      'staleWhileRevalidate: found 60; write a duration such as 5m (units s, m, h, d)',
    ],
    [
      'staleIfError: never',
      'staleIfError: "never" is not a duration; write for example 7d (units s, m, h, d), or unlimited',
    ],
    [
      'staleIfError: true',
      'staleIfError: found true; write a duration such as 7d (units s, m, h, d), or unlimited',
    ],
    ['keepDeleted: yes', 'keepDeleted: found "yes"; write true or false'],
    ['keep_deleted: true', 'keep_deleted: is not a key; did you mean keepDeleted?'],
  ])('%s is refused', (line, problem) => {
    const number = head.split('\n').length
    expect(problems(`${head}${indent}${line}\n`)).toEqual([`${number} ${at}${problem}`])
  })
})
