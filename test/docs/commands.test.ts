/** Every page calls the program as it can be called. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { COMMAND_USAGE } from '../../src/cli/usage.ts'

/** In code: at the start of a line or of a span. */
const CALL = /(?:^(?:\$ )?entrepot|`entrepot|dist\/main\.js) ([a-z][\w-]*)(.*)/gm

const PAGES = [
  'README.md',
  'docs/access.md',
  'docs/clients.md',
  'docs/configuration.md',
  'docs/operations.md',
]

describe.each(PAGES)('%s', (file) => {
  const said = [...read(file).matchAll(CALL)]
    // Up to the end of the code, or a comment.
    .map(([, name = '', rest = '']) => ({ name, rest: rest.replace(/[`"|#].*/, '').trim() }))
    .filter(({ name }) => name !== 'help')

  it('calls no command that there is not', () => {
    expect(said.length).toBeGreaterThan(0)
    expect(said.filter(({ name }) => !COMMAND_USAGE.has(name))).toEqual([])
  })

  it('tells no command to do what it cannot', () => {
    const wrong = said.filter(({ name, rest }) => {
      const [word = ''] = rest.split(' ')
      const actions = actionsOf(name)
      return /^[a-z]/.test(word) && actions.size > 0 && !actions.has(word.replace(/[.,;:]$/, ''))
    })
    expect(wrong).toEqual([])
  })

  it('gives no command an option that it does not have', () => {
    const wrong = said.flatMap(({ name, rest }) => {
      const options = new Set(COMMAND_USAGE.get(name)?.match(/--[\w-]+/g))
      const given = rest.match(/(?<=^| )--[\w-]+/g) ?? []
      return given.filter((option) => !options.has(option)).map((option) => `${name} ${option}`)
    })
    expect(wrong).toEqual([])
  })
})

/** `add` of `entrepot allow add PATTERN`, `on` and `off` of `entrepot offline on|off|status`. */
function actionsOf(name: string): ReadonlySet<string> {
  const calls = new RegExp(`^ *entrepot ${name} \\[?([a-z]+(?:\\|[a-z]+)*)(?![\\w./-])`, 'gm')
  const usage = COMMAND_USAGE.get(name) ?? ''
  return new Set([...usage.matchAll(calls)].flatMap(([, words = '']) => words.split('|')))
}

function read(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
}
