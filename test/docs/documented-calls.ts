/** Calls of the program and of its API that stand on the pages and in its help. */
import { COMMAND_USAGE, USAGE } from '../../src/cli/usage.ts'
import { blocksOf, PAGES } from './pages.ts'
import { commandsIn, type ShellCommand } from './shell.ts'

export interface DocumentedCall extends ShellCommand {
  /** `docs/access.md:31`, for messages. */
  readonly place: string
}

/** What calls the program, and how many words that takes. */
const PROGRAM: readonly RegExp[] = [
  /^(?:sudo )?(?:npx )?entrepot /,
  /^(?:docker|podman) exec (?:-\w+ )*entrepot (?:node dist\/main\.js|entrepot) /,
  /^(?:docker|podman) run (?:.* )?entrepot (?=[a-z])/,
  /^node (?:\S*\/)?dist\/main\.js /,
]

/** All commands in blocks of shell, and those behind a prompt in blocks without a language. */
export const SHELL_COMMANDS: readonly DocumentedCall[] = PAGES.flatMap((page) =>
  blocksOf(page).flatMap(({ language, text, line }) => {
    const commands =
      language === 'sh' ? commandsIn(text, line) : commandsIn(prompted(language, text), line)
    return commands.map((command) => ({ ...command, place: `${page}:${command.line}` }))
  }),
)

/** The arguments of each call of the program. */
export const PROGRAM_CALLS: readonly DocumentedCall[] = [
  ...SHELL_COMMANDS,
  ...examplesOfHelp(),
].flatMap((command) => {
  const words = wordsOfProgram(command.words)
  return words === undefined ? [] : [{ ...command, words }]
})

export const CURL_CALLS: readonly DocumentedCall[] = SHELL_COMMANDS.filter(
  ({ words }) => words[0] === 'curl',
)

/** @returns `undefined` where it calls something else */
export function wordsOfProgram(words: readonly string[]): readonly string[] | undefined {
  for (const start of PROGRAM) {
    // Words may have spaces in them, but not those that are looked for.
    const joined = words.map((word) => word.replaceAll(' ', '_')).join(' ')
    const [found] = start.exec(`${joined} `) ?? []
    if (found !== undefined) return words.slice(found.trim().split(' ').length)
  }
  return undefined
}

function prompted(language: string, text: string): string {
  if (language !== '') return ''
  return text.replace(/^(?!\$ ).*$/gm, '').replace(/^\$ /gm, '')
}

function examplesOfHelp(): DocumentedCall[] {
  return [['', USAGE] as const, ...COMMAND_USAGE].flatMap(([name, usage]) => {
    const [, examples = ''] = /^Examples?:\n((?: {2}.*\n?)+)/m.exec(usage) ?? []
    const place = `entrepot help ${name}`.trim()
    return commandsIn(examples).map((command) => ({
      ...command,
      place: `${place}:${command.line}`,
    }))
  })
}
