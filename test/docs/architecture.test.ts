/** docs/architecture.md speaks of files that there are. */
import { existsSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

const PAGE = readFileSync(new URL('../../docs/architecture.md', import.meta.url), 'utf8')
/** A table of one folder: its first column names files, without their ending. */
const ROOMS = /^\| in `(?<folder>[\w/]+)\/`.*\n.*\n(?<rows>(?:\|.*\n)+)/gm

it('docs/architecture.md names no file that there is not', () => {
  const named = [...PAGE.matchAll(/`(\w+\/[\w-]+\.ts)`/g)].map(([, path = '']) => path)
  expect(named.length).toBeGreaterThan(15)
  expect(named.filter(isMissing)).toEqual([])
})

it('docs/architecture.md puts no file into a folder where it is not', () => {
  const rooms = [...PAGE.matchAll(ROOMS)].flatMap(({ groups }) => {
    const { folder = '', rows = '' } = groups ?? {}
    return firstCells(rows).map((name) => `${folder}/${name}.ts`)
  })
  expect(rooms.length).toBeGreaterThan(60)
  expect(rooms.filter(isMissing)).toEqual([])
})

function firstCells(rows: string): string[] {
  const cells = rows.split('\n').map((row) => row.split('|')[1] ?? '')
  return cells.flatMap((cell) => [...cell.matchAll(/`([\w-]+)`/g)].map(([, name = '']) => name))
}

function isMissing(path: string): boolean {
  return !existsSync(new URL(`../../src/${path}`, import.meta.url))
}
