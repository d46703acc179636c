/** Every page calls the program as it can be called. */
import { describe, expect, it } from 'vitest'
import { COMMAND_USAGE } from '../../src/cli/usage.ts'
import { readUsage } from '../../src/cli/usage-model.ts'
import { PAGES, readPage } from './pages.ts'

const MODEL = new Map(readUsage().map((command) => [command.name, command]))

/** In code: at the start of a line or of a span. */
const CALL = /(?:^(?:\$ )?(?:npx )?entrepot|`entrepot|dist\/main\.js) ([a-z][\w-]*)(.*)/gm

const CALLS = PAGES.map((page) => [page, callsOn(page)] as const).filter(
  ([, calls]) => calls.length > 0,
)

it('the pages for operators call the program', () => {
  const pages = ['README.md', 'docs/access.md', 'docs/configuration.md', 'docs/operations.md']
  expect(CALLS.map(([page]) => page)).toEqual(expect.arrayContaining(pages))
})

describe.each(CALLS)('%s', (_, said) => {
  it('calls no command that there is not', () => {
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

interface Call {
  readonly name: string
  readonly rest: string
}

function callsOn(page: string): Call[] {
  return (
    [...readPage(page).matchAll(CALL)]
      // Up to the end of the code, or a comment.
      .map(([, name = '', rest = '']) => ({ name, rest: rest.replace(/[`"|#].*/, '').trim() }))
      .filter(({ name }) => name !== 'help')
  )
}

function actionsOf(name: string): ReadonlySet<string> {
  return new Set(MODEL.get(name)?.actions)
}
