import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { interpolate } from '../../src/config/interpolate.ts'
import { invalid } from './fixtures.ts'

const ENV = { NAME: 'value', _x9: 'nine', EMPTY: '', NESTED: '${NAME}', DOLLAR: "$& $1 $'" }

describe('interpolate', () => {
  it.each([
    ['', ''],
    ['plain $NAME {NAME} $$ $', 'plain $NAME {NAME} $$ $'],
    ['${NAME}', 'value'],
    ['a${NAME}b${_x9}c', 'avaluebninec'],
    ['${EMPTY}', ''],
    ['$${NAME}', '${NAME}'],
    ['$$${NAME}', '$${NAME}'],
    ['$${', '${'],
    ['$${${NAME}}', '${value}'],
    ['${NESTED}', '${NAME}'],
    ['${DOLLAR}', "$& $1 $'"],
    ['$oauthtoken', '$oauthtoken'],
  ])('%j becomes %j', (text, expected) => {
    expect(interpolate(text, ENV)).toBe(expected)
  })

  it('names every variable that is not set, once', () => {
    expect(invalid(() => interpolate('${A} ${NAME} ${B} ${A}', ENV))).toBe(
      'uses what the environment does not set: A, B; set it, or write $${ where ${ is meant literally',
    )
  })

  it.each(['constructor', '__proto__', 'toString'])('%s is no variable of its own', (name) => {
    expect(invalid(() => interpolate(`\${${name}}`, ENV))).toContain(name)
  })

  it.each([
    '${}',
    '${a b}',
    '${NAME',
    '${',
    '${NAME:-secret}',
    '${9}',
    'x${secret-y}z',
    '${NAM\nE}',
  ])('refuses %j without repeating it', (text) => {
    const message = invalid(() => interpolate(text, ENV))
    expect(message).toBe(
      'holds a ${ that is not followed by the name of an environment variable and }; write $${ where ${ is meant literally',
    )
  })

  it('leaves every text without ${ as it is', () => {
    fc.assert(
      fc.property(
        fc.string().filter((text) => !text.includes('${')),
        (text) => {
          expect(interpolate(text, {})).toBe(text)
        },
      ),
    )
  })

  it('every text can be escaped', () => {
    const parts = fc.constantFrom('${', '$', '}', 'A', ' ', '{', '"')
    fc.assert(
      fc.property(fc.array(parts), (chosen) => {
        const text = chosen.join('')
        expect(
          interpolate(
            text.replaceAll('${', () => '$${'),
            {},
          ),
        ).toBe(text)
      }),
    )
  })
})
