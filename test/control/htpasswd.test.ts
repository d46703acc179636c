import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseHtpasswd } from '../../src/control/htpasswd.ts'
import { isPasswordHash } from '../../src/control/passwords.ts'
import { isUserName } from '../../src/control/user-name.ts'
import { quickHash } from './identity-support.ts'

const A = quickHash('a')
const B = quickHash('b', '05').replace('$2b$', '$2y$')

describe('a file of users', () => {
  it.each([
    ['', []],
    ['\n\n', []],
    ['# nobody\n  # yet', []],
    [`alice:${A}`, ['alice']],
    [`alice:${A}\nbob:${B}\n`, ['alice', 'bob']],
    [`\uFEFFalice:${A}\r\n\r\nbob:${B}\r\n`, ['alice', 'bob']],
    [`  alice:${A}  \n#bob:${B}`, ['alice']],
    [`__proto:${A}`, []],
    [`constructor:${A}`, ['constructor']],
  ])('%j holds %j', (text, names) => {
    expect([...parseHtpasswd(text).users.keys()]).toEqual(names)
  })

  it('gives each its hash', () => {
    const { users, problems } = parseHtpasswd(`alice:${A}\nbob:${B}`)
    expect(problems).toEqual([])
    expect(Object.fromEntries(users)).toEqual({ alice: A, bob: B })
  })

  it.each([
    ['secret', 'There is no colon between a name and a hash.'],
    [`:${A}`, /^The name may hold letters, digits/],
    [`al ice:${A}`, /^The name may hold letters, digits/],
    [`${'a'.repeat(65)}:${A}`, /^The name may hold letters, digits/],
    ['alice:', /^The hash of alice is not of bcrypt/],
    ['alice:secret', /^The hash of alice is not of bcrypt/],
    ['alice:$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/', /^The hash of alice is not of bcrypt/],
    ['alice:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=', /^The hash of alice is not of bcrypt/],
    [`alice:${quickHash('a', '15')}`, /^The hash of alice is damaged, or of a cost/],
    [`alice:${A.slice(0, -1)}`, /^The hash of alice is damaged, or of a cost/],
    [`alice:${A}:more`, /^The hash of alice is damaged, or of a cost/],
    [`bob:${B}`, /^The name bob stands further up already/],
  ])('tells the line and the reason of %j', (line, message) => {
    const { users, problems } = parseHtpasswd(`bob:${A}\n${line}\ncarol:${A}`)
    expect(problems).toEqual([{ line: 2, message: expect.stringMatching(message) }])
    expect(Object.fromEntries(users)).toEqual({ bob: A, carol: A })
  })

  it('of more than 1 MiB is refused', () => {
    const { users, problems } = parseHtpasswd(`alice:${A}\n#${'ä'.repeat(512 * 1024)}`)
    expect(users.size).toBe(0)
    expect(problems).toEqual([{ line: 1, message: 'The file is larger than 1 MiB.' }])
  })

  it('may hold anything: what comes out is fit, and messages never tell a hash', () => {
    const lines = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom(`alice:${A}`, `bob:${B}`, '#', 'alice', `x:${A}y`),
    )
    fc.assert(
      fc.property(fc.array(lines), (parts) => {
        const { users, problems } = parseHtpasswd(parts.join('\n'))
        for (const [name, hash] of users) {
          expect(isUserName(name)).toBe(true)
          expect(isPasswordHash(hash)).toBe(true)
        }
        expect(JSON.stringify(problems)).not.toContain('$2')
      }),
    )
  })
})
