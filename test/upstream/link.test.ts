import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { nextQuery } from '../../src/upstream/link.ts'

describe('nextQuery', () => {
  test.each([
    ['relative', '</v2/a/tags/list?n=2&last=b>; rel="next"', 'n=2&last=b'],
    [
      'absolute',
      '<https://quay.io/v2/a/tags/list?next_page=gAAA%3D%3D>; rel="next"',
      'next_page=gAAA%3D%3D',
    ],
    ['another host', '<https://us-docker.pkg.dev/v2/x/tags/list?last=z>; rel=next', 'last=z'],
    ['unquoted, any case, spaces', '< /v2/a?n=1 > ; title=x ; REL = Next', 'n=1'],
    ['several relations', '</v2/a?n=1>; rel="last  next"', 'n=1'],
    ['several links', '</v2/a?p=0>; rel="prev", </v2/a?p=2>; rel="next"', 'p=2'],
    [
      'a comma and a bracket inside a title',
      '</v2/a?p=0>; title="x, <y>; rel=next"; rel=prev, </v2/a?p=2>; rel=next',
      'p=2',
    ],
    ['an escaped quote', '</v2/a?p=2>; title="\\"; rel=prev"; rel=next', 'p=2'],
    ['only a query', '<?n=5>; rel="next"', 'n=5'],
    [
      'characters that a query must not have',
      '</v2/a?n=1&last=b c"é>; rel=next',
      'n=1&last=b%20c%22%C3%A9',
    ],
    ['a fragment', '</v2/a?n=1#x>; rel=next', 'n=1'],
  ])('%s', (_, header, expected) => {
    expect(nextQuery(header)).toBe(expected)
  })

  test.each([
    ['no header', undefined],
    ['no link', 'rel="next"'],
    ['another relation', '</v2/a?n=1>; rel="nextish"'],
    ['no relation', '</v2/a?n=1>'],
    ['a relation without value', '</v2/a?n=1>; rel'],
    ['no query', '</v2/a>; rel="next"'],
    ['no URL', '<http://[>; rel="next"'],
    ['no end of the target', '</v2/a?n=1; rel="next"'],
    ['no end of the string', '</v2/a?n=1>; rel="next'],
  ])('%s: there is no next page', (_, header) => {
    expect(nextQuery(header)).toBeUndefined()
  })

  test('repeated headers', () => {
    expect(nextQuery(['</v2/a?p=0>; rel="prev"', '</v2/a?p=2>; rel="next"'])).toBe('p=2')
  })

  test('no text makes it throw or hang', () => {
    const piece = fc.constantFrom('<', '>', ';', ',', '"', '\\', 'rel=', 'next', ' ', '?n=1')
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(piece).map((list) => list.join('')),
    )
    fc.assert(
      fc.property(text, (header) => {
        nextQuery(header)
      }),
    )
    for (const unit of ['<', '<a', ';', '; ', ';rel="', '<>;"\\', ' ,', '"\\']) {
      const started = performance.now()
      nextQuery(`</v2/a?n=1>${unit.repeat((16 * 1024) / unit.length)}`)
      nextQuery(unit.repeat((16 * 1024) / unit.length))
      expect(performance.now() - started).toBeLessThan(1000)
    }
  })
})
