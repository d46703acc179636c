/** What the script keeps of a file is all of it, and comes back, whatever came between. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { installScript } from '../../src/clients/install-script.ts'

const SCRIPT = installScript({
  url: 'http://mirror.example:5000',
  upstreams: ['docker.io'],
  defaultUpstream: 'docker.io',
})
const DAEMON_JSON = '/etc/docker/daemon.json'
const HOSTS_TOML = '/etc/containerd/certs.d/docker.io/hosts.toml'
const KEPT = '.entrepot-backup'

describe('an earlier run', () => {
  it('that could not keep all of a file has kept nothing of it', async () => {
    await using host = await makeHost(['python3'])
    await host.put(DAEMON_JSON, '{"debug":   true}\n')
    const cp = host.program('cp')
    await rm(cp)
    await writeFile(cp, '#!/bin/sh\nprintf "{" >"$3"\nexit 1\n')
    await chmod(cp, 0o755)
    expect(() => host.run('docker')).toThrow('FAILED')
    expect(readdirSync(host.at('/etc/docker'))).toEqual(['daemon.json'])
    expect(await host.read(DAEMON_JSON)).toBe('{"debug":   true}\n')
  })

  it('that had kept a file and got no further is taken up again', async () => {
    await using host = await makeHost([])
    for (const path of [HOSTS_TOML, HOSTS_TOML + KEPT]) await host.put(path, '# theirs')
    expect(host.run('containerd')).toContain(`would change:    ${host.at(HOSTS_TOML)}`)
    expect(await host.read(HOSTS_TOML)).toContain('mirror.example')
    host.run('containerd', '--remove')
    expect(await host.read(HOSTS_TOML)).toBe('# theirs')
    expect(existsSync(host.at(HOSTS_TOML + KEPT))).toBe(false)
  })
})

it('a file without a line end at its end has none afterwards', async () => {
  await using host = await makeHost([])
  const begin = '# entrepot: begin\n'
  await host.put(HOSTS_TOML, `${begin}server = "x"\n# entrepot: end\n# theirs`)
  await host.put(HOSTS_TOML + KEPT, '# theirs')
  host.run('containerd', '--remove')
  expect(await host.read(HOSTS_TOML)).toBe('# theirs')
  expect(existsSync(host.at(HOSTS_TOML + KEPT))).toBe(false)
})

describe.each(['python3', 'jq'].filter((name) => find(name) !== undefined))(
  'with %s',
  (program) => {
    it.each(['{"registry-mirrors": []}', '', ' \n'])(
      '%j gets the mirror, and is the same afterwards',
      async (text) => {
        await using host = await makeHost([program])
        await host.put(DAEMON_JSON, text)
        host.run('docker')
        expect(JSON.parse(await host.read(DAEMON_JSON))).toEqual({
          'registry-mirrors': ['http://mirror.example:5000'],
        })
        host.run('docker', '--remove')
        expect(await host.read(DAEMON_JSON)).toBe(text)
        expect(readdirSync(host.at('/etc/docker'))).toEqual(['daemon.json'])
      },
    )

    it('what is not one object is left alone', async () => {
      await using host = await makeHost([program])
      await host.put(DAEMON_JSON, '{"a": 1}{"b": 2}')
      expect(host.run('docker')).toContain('left alone')
      expect(await host.read(DAEMON_JSON)).toBe('{"a": 1}{"b": 2}')
    })
  },
)

it('no name at all is not all of them', async () => {
  await using host = await makeHost([])
  expect(() => host.run('')).toThrow('--only needs names')
})

const TOOLS = 'sh cat head grep awk sed tr id mkdir dirname cp mv rm rmdir chmod cmp'.split(' ')

interface Host extends AsyncDisposable {
  at(path: string): string
  program(name: string): string
  put(path: string, text: string): Promise<void>
  read(path: string): Promise<string>
  /** @returns what it says; throws with what it says of failures */
  run(engine: string, ...options: string[]): string
}

/** @param more programs that this host has besides */
async function makeHost(more: readonly string[]): Promise<Host> {
  const folder = await mkdtemp(join(tmpdir(), 'entrepot-host-'))
  const at = (path: string): string => join(folder, 'root', path)
  const program = (name: string): string => join(folder, 'bin', name)
  await mkdir(program('.'))
  for (const name of [...TOOLS, ...more]) await symlink(find(name) ?? name, program(name))
  const env = { PATH: program('.'), ENTREPOT_ROOT: join(folder, 'root') }
  return {
    at,
    program,
    async put(path, text) {
      await mkdir(dirname(at(path)), { recursive: true })
      await writeFile(at(path), text)
    },
    read: (path) => readFile(at(path), 'utf8'),
    run: (engine, ...options) =>
      execFileSync(program('sh'), ['-s', '--', '--yes', '--only', engine, ...options], {
        input: SCRIPT,
        env,
        encoding: 'utf8',
        stdio: 'pipe',
        timeout: 10_000,
      }),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

function find(program: string): string | undefined {
  // What is first there may be a script that chooses between several.
  const folders = ['/usr/bin', '/bin', ...(process.env['PATH'] ?? '').split(delimiter)]
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path))
}
