/** Generators of legal names, written from the grammar of the specification and not from the parser. */
import * as fc from 'fast-check'
import type { Digest } from '../../src/oci/digest.ts'
import type { Repository, Tag } from '../../src/oci/reference.ts'

const LETTERS_AND_DIGITS = 'abcdefghijklmnopqrstuvwxyz0123456789'
const word = textOver(LETTERS_AND_DIGITS, 8).filter((text) => text !== '')
const separator = fc.oneof(
  fc.constantFrom('.', '_', '__'),
  fc.string({ unit: fc.constant('-'), minLength: 1, maxLength: 4 }),
)

/** Words of the protocol are legal components, and the ones that confuse parsers. */
const component = fc.oneof(
  { weight: 4, arbitrary: joined(word, separator) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('manifests', 'blobs', 'tags', 'list', 'uploads', 'referrers', 'v2'),
  },
)

export const repositories: fc.Arbitrary<Repository> = fc
  .array(component, { minLength: 1, maxLength: 5 })
  .map((components) => components.join('/'))
  .filter((name) => name.length <= 255)
  .map((name) => name as Repository)

const tagStart = fc.constantFrom(...`${LETTERS_AND_DIGITS}ABCXYZ_`.split(''))
const tagRest = textOver(`${LETTERS_AND_DIGITS}ABCXYZ_.-`, 127)

export const tags: fc.Arbitrary<Tag> = fc
  .oneof(
    fc.tuple(tagStart, tagRest).map(([start, rest]) => start + rest),
    fc.constantFrom('latest', 'list', 'uploads', 'manifests', '_catalog', 'v2', '_', 'A'),
  )
  .map((tag) => tag as Tag)

/** Anything that can stand in a string: mostly ASCII, with NUL and lone surrogates among the rest. */
export const anyText = fc.string({
  unit: fc
    .oneof(fc.integer({ min: 0, max: 0x7f }), fc.integer({ min: 0, max: 0xffff }))
    .map((unit) => String.fromCharCode(unit)),
  maxLength: 300,
})

const hexDigit = fc.constantFrom(...'0123456789abcdef'.split(''))

export const digests: fc.Arbitrary<Digest> = fc
  .constantFrom(['sha256', 64] as const, ['sha384', 96] as const, ['sha512', 128] as const)
  .chain(([algorithm, length]) =>
    fc
      .string({ unit: hexDigit, minLength: length, maxLength: length })
      .map((hex) => `${algorithm}:${hex}` as Digest),
  )

function joined(
  words: fc.Arbitrary<string>,
  separators: fc.Arbitrary<string>,
): fc.Arbitrary<string> {
  return fc
    .tuple(words, fc.array(fc.tuple(separators, words), { maxLength: 3 }))
    .map(([first, rest]) => first + rest.map(([between, next]) => between + next).join(''))
}

/** Texts over few characters: where they matter, legal and illegal texts are about as frequent. */
export function textOver(characters: string, maxLength: number): fc.Arbitrary<string> {
  return fc.string({ unit: fc.constantFrom(...characters.split('')), maxLength })
}
