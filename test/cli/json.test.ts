/** Every command speaks to programs as well: what it prints with `--json` is JSON and nothing else. */
import { describe, expect, it, vi } from 'vitest'
import type { Command } from '../../src/cli/command.ts'
import { COMMANDS } from '../../src/cli/commands.ts'
import { offline } from '../../src/cli/offline.ts'
import { status } from '../../src/cli/status.ts'
import { readUsage } from '../../src/cli/usage-model.ts'
import { BUSY, TRAFFIC } from '../http/statuses.ts'
import { answering } from './answering-server.ts'
import { configFile } from './config-file.ts'
import { runCommand } from './run-command.ts'

const FROZEN = `docker.io/library/redis:7@sha256:${'a'.repeat(64)}`

/** In this order, on one data folder. */
const CALLS = [
  'config check',
  'config show',
  'config schema',
  'check-config',
  'offline on',
  'offline status',
  'offline off',
  'gc',
  'gc --dry-run',
  'verify',
  'verify --rebuild',
  'allow add docker.io/**',
  'allow list',
  'allow remove docker.io/**',
  'deny add **:nightly',
  'deny list',
  'requests list',
  'explain docker.io/library/redis:7',
  'users add alice --password-stdin',
  'users list',
  'tokens add ci',
  'tokens list',
  `content freeze ${FROZEN}`,
  'content list',
  'audit --verify',
  'client-config',
  'client-config podman --url https://mirror.example',
]

/** The log of a server is JSON anyway, and a script is for a shell. */
const WITHOUT = ['serve', 'completion']

describe('--json', () => {
  it.each(readUsage().filter(({ name }) => !WITHOUT.includes(name)))(
    'is an option of $name',
    ({ options }) => {
      expect(options.map(({ name }) => name)).toContain('--json')
    },
  )

  it('prints JSON, whatever is called', async () => {
    vi.stubEnv('ENTREPOT_TOKEN', undefined)
    const { file } = configFile()
    const input = {
      isTerminal: false,
      read: async () => 'correct horse battery',
      askSecrets: () => Promise.reject(new Error('Nobody is there.')),
    }
    for (const call of CALLS) {
      const [name = '', ...args] = call.split(' ')
      const command = commandOf(name)
      const all = [...args, '--json', '--config', file]
      const ran = await runCommand(command, all, {}, undefined, undefined, input)
      // What is worth a word besides goes to standard error.
      expect([call, ran.code]).toEqual([call, 0])
      expect([call, typeof JSON.parse(ran.out)]).toEqual([call, 'object'])
    }
    const audit = await runCommand(commandOf('audit'), ['--json', '--config', file])
    const entries = audit.out.split('\n').map((line) => JSON.parse(line) as { action: string })
    expect(entries.map(({ action }) => action)).toContain('tag.freeze')
  })

  it('prints JSON of a mirror that is asked', async () => {
    const answer = { ...BUSY, traffic: TRAFFIC }
    const { url } = await answering({ body: JSON.stringify(answer) })
    const { out } = await runCommand(status, ['--json', '--server', url])
    expect(JSON.parse(out)).toEqual(answer)
  })

  it('tells of the switch, and of what the configuration says', async () => {
    const { file, data } = configFile('offline: true')
    const say = async (action: string): Promise<unknown> =>
      JSON.parse((await runCommand(offline, [action, '--json', '--config', file])).out)
    expect(await say('status')).toEqual({ data, offline: true, switched: false, configured: true })
    expect(await say('on')).toEqual({ data, offline: true, switched: true, configured: true })
    const { file: other } = configFile()
    const ran = await runCommand(offline, ['status', '--json', '--config', other])
    expect(JSON.parse(ran.out)).toMatchObject({ offline: false, switched: false })
  })
})

function commandOf(name: string): Command {
  const command = COMMANDS.get(name)
  if (command === undefined) throw new Error(`There is no ${name}.`)
  return command
}
