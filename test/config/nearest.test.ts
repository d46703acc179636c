import { expect, it } from 'vitest'
import { nearest } from '../../src/config/nearest.ts'

const KEYS = [
  'listen',
  'publicUrl',
  'data',
  'budget',
  'defaultUpstream',
  'tls',
  'ca',
  'key',
  'tagTtl',
]

it.each([
  ['listne', 'listen'],
  ['public_url', 'publicUrl'],
  ['public-url', 'publicUrl'],
  ['PUBLICURL', 'publicUrl'],
  ['defaultRegistry', undefined],
  ['default-upstreams', 'defaultUpstream'],
  ['dat', 'data'],
  ['date', 'data'],
  ['tagTTL', 'tagTtl'],
  ['keys', 'key'],
  ['cat', 'ca'],
  ['co', undefined],
  ['CA', 'ca'],
  ['c', undefined],
  ['', undefined],
  ['port', undefined],
  ['tlss', 'tls'],
])('%j means %j', (word, meant) => {
  expect(nearest(word, KEYS)).toBe(meant)
})

it('takes the nearest, and of equally near ones the first', () => {
  expect(nearest('quay.oi', ['quai.oi', 'quay.io', 'quay.o'])).toBe('quai.oi')
  expect(nearest('abcdef', ['abcdxy', 'abcdex'])).toBe('abcdex')
})

it('finds nothing among nothing', () => {
  expect(nearest('word', [])).toBeUndefined()
})
