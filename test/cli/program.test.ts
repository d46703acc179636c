/** Which command is meant, and what help says. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { createAudit } from '../../src/cli/audit.ts'
import { checkConfig } from '../../src/cli/check-config.ts'
import type { Command } from '../../src/cli/command.ts'
import { completion } from '../../src/cli/completion.ts'
import { config } from '../../src/cli/config.ts'
import { createContent } from '../../src/cli/content.ts'
import { createExplain } from '../../src/cli/explain.ts'
import { createGc } from '../../src/cli/gc.ts'
import { offline } from '../../src/cli/offline.ts'
import { createRequests } from '../../src/cli/requests.ts'
import { createAllow, createDeny } from '../../src/cli/rules.ts'
import { runProgram } from '../../src/cli/program.ts'
import { status } from '../../src/cli/status.ts'
import { createTokens } from '../../src/cli/tokens.ts'
import { readUsage } from '../../src/cli/usage-model.ts'
import { COMMAND_USAGE, USAGE } from '../../src/cli/usage.ts'
import { createUsers } from '../../src/cli/users.ts'
import { createVerify } from '../../src/cli/verify.ts'
import { fakeMaintenance } from './fake-maintenance.ts'
import { fakeOperator } from './fake-operator.ts'
import { runCommand, type Ran } from './run-command.ts'

interface Program extends Ran {
  /** What the command was given. */
  readonly given: readonly string[] | undefined
}

async function run(...args: string[]): Promise<Program> {
  let given: readonly string[] | undefined
  const command: Command = async (args) => {
    given = args
    return 1
  }
  const commands = new Map([
    ['serve', command],
    ['allow', command],
  ])
  const program: Command = (args, io, signal) => runProgram(commands, args, io, signal)
  return { ...(await runCommand(program, args)), given }
}

describe('the program', () => {
  it('runs the command that is named, and ends as that does', async () => {
    const { code, given } = await run('allow', 'add', 'x', '--json')
    expect([code, given]).toEqual([1, ['add', 'x', '--json']])
    expect((await run('allow', 'add', '--', '--help')).given).toEqual(['add', '--', '--help'])
  })

  it.each([[[]], [['help']], [['--help']], [['-h']], [['help', '--help']]])(
    'tells what there is: %j',
    async (args) => {
      expect(await run(...args)).toEqual({ code: 0, out: USAGE, error: '', given: undefined })
    },
  )

  it.each([
    ['help', 'allow'],
    ['allow', '--help'],
    ['allow', 'add', '-h'],
  ])('tells how one is called: %s %s', async (...args) => {
    const { code, out, given } = await run(...args)
    expect([code, out, given]).toEqual([0, COMMAND_USAGE.get('allow'), undefined])
  })

  it.each([['destroy'], ['help', 'destroy'], ['constructor'], ['help', '__proto__']])(
    'has no other: %s %s',
    async (...args) => {
      const { code, out, error } = await run(...args.filter(Boolean))
      expect([code, out]).toEqual([2, ''])
      expect(error).toBe(
        `There is no command "${args.at(-1)}". "entrepot help" lists what there is.`,
      )
    },
  )

  it.each([
    ['stauts', 'status'],
    ['verfy', 'verify'],
    ['token', 'tokens'],
    ['helpp', 'help'],
    ['client_config', 'client-config'],
  ])('guesses that %s is %s', async (name, meant) => {
    const { code, error } = await run(name)
    expect([code, error]).toEqual([2, expect.stringContaining(`Did you mean "${meant}"?`)])
    expect(error.split('\n')).toHaveLength(1)
  })

  it('has no options of its own but a few', async () => {
    const { code, error } = await run('--verbose')
    expect([code, error]).toEqual([2, expect.stringMatching(/^There is no option "--verbose"\./)])
  })

  it.each([['--version'], ['-V']])('tells its version: %s', async (option) => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
    expect(await run(option)).toMatchObject({ code: 0, out: `entrepot ${version}`, error: '' })
  })

  it('repeats no control characters', async () => {
    expect((await run('\u001b[2J')).error).toContain('There is no command "?[2J".')
  })
})

const { open } = fakeOperator({})
const COMMANDS: readonly (readonly [string, Command])[] = [
  ['allow', createAllow(open)],
  ['deny', createDeny(open)],
  ['requests', createRequests(open)],
  ['explain', createExplain(open)],
  ['users', createUsers(open)],
  ['tokens', createTokens(open)],
  ['content', createContent(open)],
  ['audit', createAudit(open)],
  ['status', status],
  ['config', config],
  ['check-config', checkConfig],
  ['offline', offline],
  ['completion', completion],
  ['gc', createGc(fakeMaintenance({}).open)],
  ['verify', createVerify(fakeMaintenance({}).open)],
]

describe('an option that there is not', () => {
  it.each([
    ['--jsn', "Unknown option '--jsn': did you mean --json?"],
    ['--token_file', "Unknown option '--token_file': did you mean --token-file?"],
    ['--frobnicate', "Unknown option '--frobnicate'"],
    ['-x', "Unknown option '-x'"],
  ])('is told in one line: %s', async (option, sentence) => {
    expect(await runCommand(status, [option])).toEqual({ code: 2, out: '', error: sentence })
  })

  it('may be one of commands that ask elsewhere', async () => {
    const { code, error } = await runCommand(config, ['show', '--server', 'http://mirror.example'])
    expect([code, error]).toEqual([2, expect.stringMatching(/on the host of the mirror alone/)])
  })
})

describe('help', () => {
  it('is there of every command that is listed, and of no other', () => {
    const listed = [...USAGE.matchAll(/^ {2}entrepot ([a-z][\w-]*)/gm)].map(([, name]) => name)
    const named = listed.filter((name) => name !== 'help')
    expect(new Set(named)).toEqual(new Set(COMMAND_USAGE.keys()))
  })

  it.each([...COMMAND_USAGE])('of %s fits a terminal, and has an example', (name, usage) => {
    expect(usage).toMatch(new RegExp(`^entrepot ${name}`))
    expect(usage).toMatch(new RegExp(`Examples?:\n {2}entrepot ${name}`))
    const lines = usage.split('\n').map((line) => line.length)
    expect(Math.max(...lines)).toBeLessThanOrEqual(90)
  })

  it('of all fits a terminal', () => {
    expect(Math.max(...USAGE.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80)
  })

  it.each(COMMANDS)('of %s tells of no option that there is not', async (name, command) => {
    const usage = COMMAND_USAGE.get(name) ?? ''
    const actions = readUsage().find((it) => it.name === name)?.actions ?? []
    const calls = actions.length === 0 ? [[]] : actions.map((action) => [action])
    for (const option of new Set(usage.match(/--[\w-]+/g))) {
      const said = await Promise.all(
        calls.map((call) => runCommand(command, [...call, option, '--no-such-option'])),
      )
      expect(said.filter(({ error }) => !error.includes(`Unknown option '${option}'`))).not.toEqual(
        [],
      )
    }
  })
})
