/** Pages lead to pages, files and headings that there are. */
import { existsSync } from 'node:fs'
import { posix } from 'node:path'
import { expect, it } from 'vitest'
import { anchorsOf, PAGES, proseOf, ROOT } from './pages.ts'

interface Link {
  /** From the root. */
  readonly path: string
  readonly anchor: string
}

/** From the pages that people begin with, by links. */
const ENTRANCES = ['README.md']

it.each(PAGES)('%s leads to what there is', (page) => {
  const links = linksOf(page)
  expect(links.filter(({ path }) => !existsSync(new URL(path, ROOT)))).toEqual([])
  const withAnchor = links.filter(({ path, anchor }) => anchor !== '' && path.endsWith('.md'))
  expect(withAnchor.filter(({ path, anchor }) => !anchorsOf(path).has(anchor))).toEqual([])
})

it('every page can be reached from the README', () => {
  const reached = new Set(ENTRANCES)
  for (const page of reached) {
    for (const { path } of linksOf(page)) {
      for (const found of PAGES.filter((it) => it === path || leadsToFolder(path, it))) {
        reached.add(found)
      }
    }
  }
  const written = PAGES.filter((page) => !page.startsWith('test/'))
  expect(written.filter((page) => !reached.has(page))).toEqual([])
})

/** A link to a folder shows what is in it. */
function leadsToFolder(path: string, page: string): boolean {
  return posix.dirname(page) === path.replace(/\/$/, '')
}

function linksOf(page: string): Link[] {
  const prose = proseOf(page).replace(/`[^`\n]*`/g, (code) => code.replace(/[\][()]/g, '_'))
  return [...prose.matchAll(/\]\((?<target>[^)\s]+)(?: "[^"]*")?\)/g)].flatMap(({ groups }) => {
    const target = groups?.['target'] ?? ''
    if (/^[a-z]+:/.test(target)) return []
    const [path = '', anchor = ''] = target.split('#')
    return { path: path === '' ? page : posix.join(posix.dirname(page), path), anchor }
  })
}
