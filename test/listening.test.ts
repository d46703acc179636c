/** What systemd opens: a process that is started with open sockets accepts on them, and tells how it is doing. */
import { spawn } from 'node:child_process'
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inheritedSocket, pathOfSocket } from '../src/inherited-sockets.ts'
import { bindServer } from '../src/listening.ts'
import { createLog } from '../src/log.ts'
import { createServiceManager } from '../src/service-manager.ts'
import { compileInto } from './catalog/compiled.ts'
import { request } from './support/client.ts'
import { until, within } from './support/until.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'entrepot-listening-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('inheritedSocket', () => {
  const env = (names: string, count = names.split(':').length, pid = 7): NodeJS.ProcessEnv => ({
    LISTEN_PID: String(pid),
    LISTEN_FDS: String(count),
    LISTEN_FDNAMES: names,
  })

  it('is the one with that name, or the only one', () => {
    expect(inheritedSocket(undefined, env('entrepot.socket'), 7)).toBe(3)
    expect(inheritedSocket('registry', env('registry:api'), 7)).toBe(3)
    expect(inheritedSocket('api', env('registry:api'), 7)).toBe(4)
    expect(inheritedSocket(undefined, { LISTEN_PID: '7', LISTEN_FDS: '1' }, 7)).toBe(3)
  })

  it.each([
    ['nothing is passed', undefined, {}, 'given none'],
    ['it was passed to another process', undefined, env('registry', 1, 8), 'given none'],
    ['the number is none', undefined, { LISTEN_PID: '7', LISTEN_FDS: '1e2' }, 'given none'],
    ['there are two', undefined, env('registry:api'), 'named registry, api: say which one'],
    ['there is another', 'api', env('registry'), 'no socket named api, but registry'],
    ['it has no name', 'api', { LISTEN_PID: '7', LISTEN_FDS: '1' }, 'but unknown'],
  ])('is refused when %s', (_, name, given, message) => {
    expect(() => inheritedSocket(name, given, 7)).toThrow(message)
  })
})

describe('a server', () => {
  it('says so when it was to get a socket, and got none', async () => {
    const server = createServer()
    await expect(bindServer(server, { kind: 'systemd', name: 'api' }, 'http')).rejects.toThrow(
      'start it by its socket unit',
    )
    expect(server.listening).toBe(false)
  })

  it('knows the socket file of a descriptor', async () => {
    const path = join(folder, 'known by name.sock')
    const server = createServer()
    await bindServer(server, { kind: 'unix', path }, 'http')
    try {
      expect(await pathOfSocket(descriptorOf(server))).toBe(path)
    } finally {
      server.close()
    }
    expect(await pathOfSocket(2)).toMatch(/^\(descriptor 2\)$|\//)
  })
})

describe('a process that was started with sockets', () => {
  const SERVE = `
    const { createServer } = await import('node:http')
    const { bindServer } = await import(process.argv[1])
    for (const name of process.argv.slice(2)) {
      const server = createServer((_, response) => response.end(name))
      console.log(await bindServer(server, { kind: 'systemd', name: name || undefined }, 'http'))
    }`
  let listening: string
  beforeAll(async () => {
    listening = await compileInto(folder, 'listening.ts')
  })

  it('accepts on each by its name, also where it is a file', async () => {
    const path = join(folder, 'api.sock')
    const sockets = [await listenOn({ port: 0, host: '127.0.0.1' }), await listenOn({ path })]
    const port = portOf(sockets[0])
    await using child = startWith(sockets, 'registry:api', [SERVE, listening, 'api', 'registry'])
    await until(() => child.lines().length === 2, { what: 'both are listened on' })
    expect(child.lines()).toEqual([`unix:${path}`, `http://127.0.0.1:${port}`])

    // The test no longer accepts itself.
    await close(sockets[0])
    const url = `http://127.0.0.1:${port}`
    expect((await request({ url, path: '/' })).body.toString()).toBe('registry')
    child.kill()
    await within(child.exited)
    await close(sockets[1])
  })

  it('needs no name for the only one', async () => {
    const socket = await listenOn({ port: 0, host: '127.0.0.1' })
    const port = portOf(socket)
    await using child = startWith([socket], 'entrepot.socket', [SERVE, listening, ''])
    await until(() => child.lines().length === 1, { what: 'it listens' })
    await close(socket)
    expect((await request({ url: `http://127.0.0.1:${port}`, path: '/' })).status).toBe(200)
  })
})

describe('the service manager', () => {
  it('is told in order, by its own program', async () => {
    // The first takes its time, so the second would overtake it.
    const { bin, said } = await notifier(`
      case $1 in READY=1) i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done ;; esac
      printf "%s\\n" "$NOTIFY_SOCKET $*" >>"$SAID"`)
    const manager = createServiceManager({ ...bin, NOTIFY_SOCKET: '/run/notify' }, createLog())
    manager.tell('READY=1', 'STATUS=Serving at http://[::1]:5000')
    manager.tell('STOPPING=1')
    await within(manager.idle())
    expect(await readFile(said, 'utf8')).toBe(
      '/run/notify READY=1 STATUS=Serving at http://[::1]:5000\n/run/notify STOPPING=1\n',
    )
  })

  it('is told nothing when it does not ask', async () => {
    const { bin, said } = await notifier(': >"$SAID"')
    const manager = createServiceManager(bin, createLog())
    manager.tell('READY=1')
    await within(manager.idle())
    await expect(stat(said)).rejects.toThrow('ENOENT')
  })

  it.each([
    ['fails', 'echo "No such socket" >&2; exit 1', 'No such socket'],
    ['is not there', undefined, 'ENOENT'],
  ])('does no harm when its program %s', async (_, script, reason) => {
    const { bin } = await notifier(script)
    const lines: string[] = []
    const log = createLog({ write: (line) => void lines.push(line) })
    const manager = createServiceManager({ ...bin, NOTIFY_SOCKET: '/run/notify' }, log)
    manager.tell('READY=1')
    await within(manager.idle())
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      {
        level: 'warn',
        msg: 'systemd could not be told how the mirror is doing',
        reason: expect.stringContaining(reason) as string,
      },
    ])
  })

  /** A folder with a program in place of systemd-notify, and the file that it may write to. */
  async function notifier(script: string | undefined) {
    const bin = await mkdtemp(join(folder, 'bin-'))
    const said = join(bin, 'said')
    if (script !== undefined) {
      const program = join(bin, 'systemd-notify')
      await writeFile(program, `#!/bin/sh\n${script}\n`)
      await chmod(program, 0o755)
    }
    return { bin: { PATH: bin, SAID: said }, said }
  }
})

function listenOn(where: { port: number; host: string } | { path: string }): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', reject).listen(where, () => resolve(server))
  })
}

function close(server: Server | undefined): Promise<void> {
  return new Promise((resolve) => server?.close(() => resolve()))
}

function portOf(server: Server | undefined): number {
  const address = server?.address()
  return typeof address === 'object' ? (address?.port ?? 0) : 0
}

function descriptorOf(server: Server): number {
  return (server as unknown as { readonly _handle: { readonly fd: number } })._handle.fd
}

/** Descriptors from 3 on, and the process id in the environment, as sd_listen_fds(3) has it. */
function startWith(sockets: readonly Server[], names: string, [script = '', ...args]: string[]) {
  const child = spawn(
    '/bin/sh',
    [
      '-c',
      'LISTEN_PID=$$ exec "$@"',
      'sh',
      process.execPath,
      '--input-type=module',
      '-e',
      script,
    ].concat('--', ...args),
    {
      env: { LISTEN_FDS: String(sockets.length), LISTEN_FDNAMES: names },
      stdio: ['ignore', 'pipe', 'inherit', ...sockets.map(descriptorOf)],
    },
  )
  let output = ''
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
  return {
    lines: () => output.split('\n').slice(0, -1),
    exited,
    kill: () => child.kill('SIGTERM'),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
    },
  }
}
