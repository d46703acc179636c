import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import {
  chooseEntries,
  entriesOf,
  parsePlatforms,
  PlatformError,
  platformTexts,
} from '../../src/warm/platforms.ts'

const digests = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((it) => digestOf(Buffer.from(it)))
const PLATFORMS: unknown[] = [
  { os: 'linux', architecture: 'amd64' },
  { os: 'linux', architecture: 'arm64' },
  { os: 'linux', architecture: 'arm', variant: 'v6' },
  { os: 'linux', architecture: 'arm', variant: 'v7' },
  { os: 'unknown', architecture: 'unknown' },
  undefined,
  'no platform',
]
const BYTES = Buffer.from(
  JSON.stringify({
    manifests: [{}, ...PLATFORMS.map((platform, at) => ({ digest: digests[at], platform }))],
  }),
)
const ENTRIES = entriesOf(BYTES, digests)

function chosen(...texts: string[]): number[] {
  return chooseEntries(ENTRIES, parsePlatforms(texts, 'x64')).map(({ digest }) =>
    digests.indexOf(digest),
  )
}

describe('of an index', () => {
  it.each([
    [[], [0, 5, 6]],
    [['linux/amd64'], [0, 5, 6]],
    [['linux/arm64'], [1, 5, 6]],
    [['linux/arm64/v8'], [1, 5, 6]],
    [['linux/arm'], [2, 3, 5, 6]],
    [
      ['linux/arm/v7', 'linux/amd64'],
      [0, 3, 5, 6],
    ],
    [['windows/amd64'], [5, 6]],
    [
      ['linux/amd64', 'all'],
      [0, 1, 2, 3, 4, 5, 6],
    ],
  ])('%j are meant', (texts, found) => {
    expect(chosen(...texts)).toEqual(found)
  })

  it('platforms are told without those that are none', () => {
    expect(platformTexts(ENTRIES)).toEqual([
      'linux/amd64',
      'linux/arm64',
      'linux/arm/v6',
      'linux/arm/v7',
    ])
  })
})

it('without any, Linux on what this runs on is meant', () => {
  const here = (name: string) => parsePlatforms([], name)
  expect(here('arm64')).toEqual([{ os: 'linux', architecture: 'arm64', variant: undefined }])
  expect(here('ppc64')).toEqual([{ os: 'linux', architecture: 'ppc64le', variant: undefined }])
  expect(parsePlatforms([])).toHaveLength(1)
})

it.each([
  ['amd64', '"amd64" is not a platform; write for example linux/amd64, or all.'],
  ['linux/', '"linux/" is not a platform'],
  ['a/b/c/d', '"a/b/c/d" is not a platform'],
  ['\u001b', '"\\u001b" is not a platform'],
])('%j is refused', (text, message) => {
  expect(() => parsePlatforms([text])).toThrow(PlatformError)
  expect(() => parsePlatforms([text])).toThrow(message)
})

it('more than 32 are refused', () => {
  expect(() => parsePlatforms(Array.from({ length: 33 }, () => 'linux/amd64'))).toThrow(/32/)
})
