/** What the texts of help say, as data: what completes commands, and what checks them, goes by it. Pure. */
import { COMMAND_USAGE } from './usage.ts'

export interface CommandModel {
  readonly name: string
  /** A few words. */
  readonly summary: string
  /** Words that may follow, such as `add` of `allow add`. */
  readonly actions: readonly string[]
  readonly options: readonly OptionModel[]
}

export interface OptionModel {
  /** With its dashes. */
  readonly name: string
  readonly summary: string
  /** What follows: nothing, the name of a file or folder, or something else. */
  readonly value: 'none' | 'file' | 'folder' | 'other'
  /** Words of which the value may be one. */
  readonly choices: readonly string[]
}

export function readUsage(): CommandModel[] {
  return [...COMMAND_USAGE].map(([name, usage]) => modelOf(name, usage))
}

function modelOf(name: string, usage: string): CommandModel {
  // Examples are calls, too.
  const [text = ''] = usage.split(/^Examples?:$/m)
  const [head = ''] = text.split('\n')
  return {
    name,
    summary: head.replace(/^[^:]*: /, ''),
    actions: actionsOf(name, text),
    options: optionsOf(text),
  }
}

/** `add` of `entrepot allow add PATTERN`, `on` and `off` of `entrepot offline on|off|status`. */
function actionsOf(name: string, text: string): string[] {
  const call = new RegExp(`^ {2}entrepot ${name} \\[?([a-z]+(?:\\|[a-z]+)*)\\]?(?= |$)`, 'gm')
  return [...new Set([...text.matchAll(call)].flatMap(([, words = '']) => words.split('|')))]
}

/** `  --name VALUE  words`, which may go on in lines that are further in. */
const OPTION = /^ {2}(--[\w-]+)(?: (\S+))?(?:$| {2,}(.*)$)((?:\n {5,}\S.*$)*)/gm

function optionsOf(text: string): OptionModel[] {
  return [...text.matchAll(OPTION)].map(([, name = '', metavar = '', first = '', rest = '']) => ({
    name,
    summary: shortened(`${first} ${rest.replace(/\s+/g, ' ')}`),
    value: valueOf(metavar),
    choices: metavar.split('|').filter((word) => /^[a-z][\w-]*$/.test(word)),
  }))
}

function shortened(text: string): string {
  return (text.trim().split(/[;:.](?: |$)/)[0] ?? '').replace(/\s+/g, ' ')
}

function valueOf(metavar: string): OptionModel['value'] {
  if (metavar === '') return 'none'
  if (metavar.endsWith('FILE')) return 'file'
  return metavar === 'DIR' ? 'folder' : 'other'
}
