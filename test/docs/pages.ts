/** The pages of the documentation, and what stands in them. */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const ROOT = new URL('../../', import.meta.url)

export interface Block {
  /** Path of the page, from the root. */
  readonly page: string
  /** Of its first line inside, as an editor counts. */
  readonly line: number
  /** `yaml`; empty where the page says none. */
  readonly language: string
  /** What stands behind the language. */
  readonly info: string
  readonly text: string
}

const FENCE =
  /^(?<indent> *)```(?<language>[\w-]*) *(?<info>.*)\n(?<text>(?:.*\n)*?)\k<indent>```$/gm
/** Not read by people as documentation: what is installed, made, or fetched. */
const ELSEWHERE = /(?:^|\/)(?:node_modules|coverage|dist|data|fixtures)\//

/** Every page of Markdown, as paths from the root. */
export const PAGES: readonly string[] = [
  ...markdownIn('.', false),
  ...['docs', 'deploy', 'bench', 'test'].flatMap((folder) => markdownIn(folder, true)),
]

export function readPage(path: string): string {
  return readFileSync(new URL(path, ROOT), 'utf8')
}

/** What stands between fences. */
export function blocksOf(page: string, text = readPage(page)): Block[] {
  return [...text.matchAll(FENCE)].map(({ index, groups = {} }) => {
    const { indent = '', language = '', info = '', text: inside = '' } = groups
    const line = text.slice(0, index).split('\n').length + 1
    return { page, line, language, info, text: withoutIndent(inside, indent) }
  })
}

/** The text without what stands between fences, its lines where they were. */
export function proseOf(page: string): string {
  return readPage(page).replace(FENCE, (block) => block.replace(/[^\n]/g, ''))
}

/** Where a link may lead on a page, as GitHub makes it of headings. */
export function anchorsOf(page: string): ReadonlySet<string> {
  const seen = new Map<string, number>()
  const anchors = [...proseOf(page).matchAll(/^#{1,6} (.*)$/gm)].map(([, heading = '']) => {
    const slug = slugOf(heading)
    const before = seen.get(slug) ?? 0
    seen.set(slug, before + 1)
    return before === 0 ? slug : `${slug}-${before}`
  })
  return new Set(anchors)
}

function slugOf(heading: string): string {
  const words = heading.replace(/\[(.*?)\]\(.*?\)/g, '$1').replace(/[`*]/g, '')
  return words
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{M}_ -]/gu, '')
    .replaceAll(' ', '-')
}

function withoutIndent(text: string, indent: string): string {
  return indent === '' ? text : text.replace(new RegExp(`^${indent}`, 'gm'), '')
}

function markdownIn(folder: string, recursive: boolean): string[] {
  const path = fileURLToPath(new URL(`${folder}/`, ROOT))
  return readdirSync(path, { recursive, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => (folder === '.' ? name : `${folder}/${name}`))
    .filter((name) => !ELSEWHERE.test(name))
    .toSorted()
}
