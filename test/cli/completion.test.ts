/** What shells offer, asked of the shells themselves where they are installed. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { completion } from '../../src/cli/completion.ts'
import { readUsage } from '../../src/cli/usage-model.ts'
import { runCommand } from './run-command.ts'

const DEADLINE = 10_000

let folder = ''
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'entrepot-completion-'))
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { out } = await runCommand(completion, [shell])
    writeFileSync(join(folder, `entrepot.${shell}`), `${out}\n`)
  }
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function isInstalled(program: string): boolean {
  return spawnSync(program, ['--version'], { timeout: DEADLINE }).status === 0
}

function run(program: string, args: readonly string[]): string[] {
  const env = { PATH: process.env['PATH'], HOME: folder, TERM: 'dumb' }
  const output = execFileSync(program, args, {
    cwd: folder,
    env,
    timeout: DEADLINE,
    encoding: 'utf8',
  })
  return output.split('\n').filter((line) => line !== '')
}

/** What each shell offers for a line that ends where the cursor is. */
const SHELLS: readonly (readonly [string, (line: string) => string[]])[] = [
  [
    'bash',
    (line) =>
      run('bash', [
        '--norc',
        '-c',
        'source entrepot.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _entrepot; printf "%s\\n" "${COMPREPLY[@]}"',
        'bash',
        // As bash divides a line, at "=" as well.
        ...line.split(/ |(?==)|(?<==)/),
      ]),
  ],
  ['zsh', (line) => run('zsh', ['-f', '-c', ZSH, 'zsh', ...line.split(' ')])],
  [
    'fish',
    (line) =>
      run('fish', ['--no-config', '-c', 'source entrepot.fish; complete -C "$argv"', line]).map(
        (found) => found.split('\t')[0] ?? '',
      ),
  ],
]

/** With what the completion system of zsh would do with what it is given: it works in a line editor only. */
const ZSH = String.raw`
compdef() { : }
_describe() { for each in "${'$'}{(P)2[@]}"; do print -r -- "${'$'}{each%%:*}"; done }
_files() { if [[ $1 == -/ ]]; then print -rl -- *(N/); else print -rl -- *(N); fi }
_message() { : }
compadd() { shift; print -rl -- "$@" }
source entrepot.zsh
words=("$@") CURRENT=$# PREFIX=${'$'}{@[-1]}
_entrepot`

describe.each(SHELLS.filter(([shell]) => isInstalled(shell)))('in %s', (_shell, offered) => {
  /** zsh itself looks at what was begun. */
  const complete = (line: string): string[] => {
    const begun = line.split(/[ =]/).at(-1) ?? ''
    return offered(line).filter((word) => word.startsWith(begun))
  }

  it('there are all commands', () => {
    expect(complete('entrepot ')).toEqual(
      expect.arrayContaining([...readUsage().map(({ name }) => name), 'help']),
    )
    expect(complete('entrepot au')).toEqual(['audit'])
    expect(complete('entrepot help au')).toEqual(['audit'])
  })

  it('there are the actions of each', () => {
    for (const { name, actions } of readUsage()) {
      if (actions.length === 0 || name === 'client-config') continue
      expect([name, complete(`entrepot ${name} `).toSorted()]).toEqual([name, actions.toSorted()])
    }
    expect(complete('entrepot allow add ')).not.toContain('add')
    expect(complete('entrepot client-config cri')).toEqual(['cri-o'])
  })

  it('there are the options of each', () => {
    for (const { name, options } of readUsage()) {
      const found = complete(`entrepot ${name} --`).filter((option) => option !== '--help')
      expect([name, found.toSorted()]).toEqual([
        name,
        options.map((option) => option.name).toSorted(),
      ])
    }
    // Status is an action here.
    expect(complete('entrepot offline status --w')).toEqual([])
  })

  it('there are the values of options that are known', () => {
    expect(complete('entrepot requests approve r-1 --as ').toSorted()).toEqual([
      'exact',
      'repository',
    ])
    expect(complete('entrepot status --config entrepot.b')).toEqual(['entrepot.bash'])
    expect(complete('entrepot allow add x --reason ')).toEqual([])
    expect(complete('entrepot status --data ')).not.toContain('entrepot.bash')
  })
})

describe('in bash', () => {
  it('there are values behind an equals sign', () => {
    const [, offered] = SHELLS[0] ?? []
    expect(offered?.('entrepot status --config=entrepot.b')).toEqual(['entrepot.bash'])
    expect(offered?.('entrepot requests approve r --as=')).toEqual(['exact', 'repository'])
  })
})

describe('entrepot completion', () => {
  it.each([[[]], [['tcsh']], [['bash', 'now']], [['bash', '--now']]])(
    'is called wrongly with %j',
    async (args) => {
      const { code, out, error } = await runCommand(completion, args)
      expect([code, out, error.split('\n').length]).toEqual([2, '', 1])
    },
  )
})
