/** docs/warm.md says what the program does: its lists are read, its tables are complete. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { parseImageList } from '../../src/warm/image-list.ts'
import { blocksOf, readPage } from './pages.ts'

const PAGE = readPage('docs/warm.md')

it('has lists that are read', () => {
  const lists = blocksOf('docs/warm.md').filter(({ info }) => info === 'skopeo')
  expect(lists.length).toBeGreaterThan(0)
  for (const { text } of lists) {
    expect(parseImageList(text, 'images.yml').sources.length).toBeGreaterThan(3)
  }
})

it('explains each key of a list, each event, and each reason', () => {
  const cells = [...PAGE.matchAll(/^\| `([\w-]+)` *\|/gm)].map(([, name = '']) => name)
  const listed = cells.filter((name) => name !== 'event')
  const source = (name: string) =>
    readFileSync(new URL(`../../src/warm/${name}.ts`, import.meta.url), 'utf8')
  const events = [...source('events').matchAll(/readonly event: '([\w-]+)'/g)].map(
    ([, it = '']) => it,
  )
  const [, keys = ''] = /const KEYS = \[(.*?)\]/s.exec(source('image-list')) ?? []
  const [, reasons = ''] = /WARM_FAILURES = \[(.*?)\]/s.exec(source('events')) ?? []
  const names = (text: string) => [...text.matchAll(/'(.*?)'/g)].map(([, it = '']) => it)
  expect(listed.toSorted()).toEqual([...names(keys), ...events].toSorted())
  for (const reason of names(reasons)) expect(PAGE).toContain(`\`${reason}\``)
})
