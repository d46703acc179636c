/** sendfile(2) itself: which bytes go to which socket, whatever happens to its descriptor meanwhile. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readSync, writeFileSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type * as KoffiModule from 'koffi'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { openSendfile, type Sendfile } from '../src/sendfile.ts'
import { randomBlob } from './fakes/images.ts'
import { openDescriptors } from './support/leaks.ts'
import { until, within } from './support/until.ts'

const KIB = 1024
const BLOB = Buffer.from(randomBlob(64 * KIB * KIB, 'sendfile'))

afterEach(() => {
  vi.doUnmock('koffi')
  vi.resetModules()
  vi.unstubAllGlobals()
})

describe('sendfile', () => {
  it('moves the bytes that were asked for, and says how many', async () => {
    await using world = await openWorld()
    const { server, client } = await world.connection()

    expect(await world.sendfile.send(descriptorOf(server), world.file, 1000, 5000)).toBe(5000)

    expect(await bytesFrom(client, 5000)).toEqual(BLOB.subarray(1000, 6000))
  })

  it('takes as many as fit, then none, and waits for nobody', async () => {
    await using world = await openWorld()
    const { server, client } = await world.connection()
    client.pause()
    const descriptor = descriptorOf(server)

    const sent = await world.sendfile.send(descriptor, world.file, 0, BLOB.length)
    expect(sent).toBeGreaterThan(0)
    expect(sent).toBeLessThan(BLOB.length)
    let total = sent
    for (let more = sent; more > 0; total += more) {
      more = await world.sendfile.send(descriptor, world.file, total, BLOB.length - total)
    }
    expect((await bytesFrom(client, total)).equals(BLOB.subarray(0, total))).toBe(true)
  })

  it('gives none at the end of the file', async () => {
    await using world = await openWorld()
    const { server } = await world.connection()
    const descriptor = descriptorOf(server)

    expect(await world.sendfile.send(descriptor, world.file, BLOB.length - 3, 10)).toBe(3)
    expect(await world.sendfile.send(descriptor, world.file, BLOB.length, 10)).toBe(0)
  })

  it('says what the system refuses', async () => {
    await using world = await openWorld()
    const { server, client } = await world.connection()
    const none = 1_000_000

    await expect(world.sendfile.send(none, world.file, 0, 10)).rejects.toMatchObject({
      code: 'EBADF',
    })
    const wrongFile = world.sendfile.send(descriptorOf(server), none, 0, 10)
    await expect(wrongFile).rejects.toMatchObject({ code: 'EBADF' })
    client.destroy()
    await once(client, 'close')
    const gone = async (): Promise<unknown> =>
      server.destroyed
        ? 'destroyed'
        : world.sendfile.send(descriptorOf(server), world.file, 0, 10).catch(codeOf)
    await until(async () => ['EPIPE', 'ECONNRESET', 'destroyed'].includes(String(await gone())))
  })

  it('leaves no descriptor behind, whatever comes of it', async () => {
    await using world = await openWorld()
    const { server, client } = await world.connection()
    const descriptor = descriptorOf(server)
    const before = await openDescriptors()

    for (let time = 0; time < 50; time += 1) {
      await world.sendfile.send(descriptor, world.file, 0, 100)
      await world.sendfile.send(descriptor, 1_000_000, 0, 100).catch(codeOf)
      await world.sendfile.send(1_000_000, world.file, 0, 100).catch(codeOf)
    }

    expect(await openDescriptors()).toEqual(before)
    client.destroy()
  })

  it('never sends to whoever has got the number of the descriptor since', async () => {
    await using world = await openWorld()
    await using blocked = world.blockThreads()
    const { server: first, client: firstClient } = await world.connection()
    const number = descriptorOf(first)
    // It waits behind those that have all threads, while its socket is closed and the number used again.
    const sent = world.sendfile.send(number, world.file, 0, 50_000)
    first.destroy()
    await once(first, 'close')
    const others = await world.connectionsUntil(({ server, client }) =>
      [server, client].map(descriptorOf).includes(number),
    )
    const ends = others.flatMap(({ server, client }) => [server, client])
    const received = ends.map(bytesUntilEnd)

    await blocked.release()
    expect(await sent).toBe(50_000)

    expect((await bytesFrom(firstClient, 50_000)).equals(BLOB.subarray(0, 50_000))).toBe(true)
    for (const end of ends) end.end()
    expect((await Promise.all(received)).map(({ length }) => length)).toEqual(ends.map(() => 0))
  })

  it('leaves a thread to others, however long its calls take', async () => {
    await using world = await openWorld()
    await using blocked = world.blockThreads()

    expect((await within(readFile(world.path))).length).toBe(BLOB.length)

    await blocked.release()
  })
})

describe('the system', () => {
  it('is not asked where it is switched off', async () => {
    expect(await openSendfile(false)).toEqual({
      sendfile: undefined,
      reason: 'it is switched off',
    })
  })

  it('is not asked where it is another one', async () => {
    vi.stubGlobal('process', { ...process, platform: 'darwin' })
    expect(await openSendfile(true)).toMatchObject({ reason: 'this is not Linux' })
  })

  it('may lack the library', async () => {
    expect(
      await reasonWith(() => {
        throw new Error('Cannot find the native Koffi module')
      }),
    ).toMatch(/\w/)
  })

  it.each<[string, Partial<Natives>]>([
    ['another size of offsets', { long: 4 }],
    ['other bytes', { sendfile: (real, [to, from, [at], size]) => real(to, from, [at + 1], size) }],
    ['nothing', { sendfile: () => 0 }],
    ['an error', { sendfile: (real, [, ...rest]) => real(-1, ...rest) }],
    ['a socket that is never full', { sendfile: countingTo() }],
    ['no function of that name', { name: 'sendfile_is_missing' }],
  ])('is not trusted with %s', async (_what, natives) => {
    const before = await openDescriptors()
    expect(await reasonWith((real) => tampered(real, natives))).toMatch(/\w/)
    expect(await openDescriptors()).toEqual(before)
  })
})

type Arguments = [to: number, from: number, position: [number], size: number]

interface Natives {
  /** Bytes of a `long`. */
  readonly long: number
  readonly name: string
  readonly sendfile: (real: (...args: Arguments) => number, args: Arguments) => number
}

type Koffi = typeof KoffiModule.default

/** Right once, and then always all of it. */
function countingTo(): Natives['sendfile'] {
  let calls = 0
  return (real, args) => ((calls += 1) === 1 ? real(...args) : args[3])
}

function tampered(koffi: Koffi, { long, name, sendfile }: Partial<Natives>): object {
  const load = (path: string | null): unknown => {
    const library = koffi.load(path)
    const func = (definition: string): unknown => {
      if (!definition.includes('sendfile(')) return library.func(definition)
      const real = library.func(definition.replace('sendfile', name ?? 'sendfile'))
      const async = (...args: unknown[]): void => {
        const done = args.pop() as (error: null, result: number) => void
        setImmediate(() => done(null, sendfile?.(real, args as Arguments) ?? 0))
      }
      return Object.assign(() => 0, { async })
    }
    return { ...library, func }
  }
  return { default: { ...koffi, load, sizeof: () => long ?? 8 } }
}

/** @returns why there is none */
async function reasonWith(mock: (real: Koffi) => object): Promise<string> {
  const { default: real } = await import('koffi')
  vi.doMock('koffi', () => mock(real))
  vi.resetModules()
  const module = await import('../src/sendfile.ts')
  const opened = await module.openSendfile(true)
  if (opened.sendfile) throw new Error('There is one.')
  return opened.reason
}

interface Connection {
  readonly server: Socket
  readonly client: Socket
}

interface World extends AsyncDisposable {
  readonly sendfile: Sendfile
  /** Of the file with the blob. */
  readonly path: string
  readonly file: number
  connection(): Promise<Connection>
  /** Opens them until one is as wanted. */
  connectionsUntil(isWanted: (connection: Connection) => boolean): Promise<Connection[]>
  /** More calls than may run at a time, none of which comes to an end before the release. */
  blockThreads(): AsyncDisposable & { release(): Promise<void> }
}

async function openWorld(): Promise<World> {
  const opened = await openSendfile(true)
  if (!opened.sendfile) throw new Error(opened.reason)
  const { sendfile } = opened
  const folder = await mkdtemp(join(tmpdir(), 'entrepot-sendfile-'))
  const path = join(folder, 'blob')
  writeFileSync(path, BLOB)
  const file = openSync(path, 'r')
  const accepted: Socket[] = []
  const clients: Socket[] = []
  const server = createServer((socket) => accepted.push(socket.on('error', () => undefined)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo

  async function connection(): Promise<Connection> {
    const count = accepted.length
    const client = connect({ port, host: '127.0.0.1' }).on('error', () => undefined)
    clients.push(client)
    const socket = await until(() => accepted[count])
    return { server: socket, client }
  }

  function blockThreads(): AsyncDisposable & { release(): Promise<void> } {
    const pipe = join(folder, 'pipe')
    execFileSync('mkfifo', [pipe])
    const pipeEnd = openSync(pipe, 'r+')
    const size = 100 * KIB
    const calls = Array.from({ length: 6 }, () => sendfile.send(pipeEnd, file, 0, size))
    let released: Promise<void> | undefined
    const release = async (): Promise<void> => {
      let left = calls.length
      for (const call of calls) void call.finally(() => (left -= 1))
      const drain = (): boolean => {
        // As long as one writes there is something to read.
        if (left > 0) readSync(pipeEnd, Buffer.alloc(size))
        return left === 0
      }
      await until(drain)
      closeSync(pipeEnd)
    }
    const once = (): Promise<void> => (released ??= release())
    return { release: once, [Symbol.asyncDispose]: once }
  }

  return {
    sendfile,
    path,
    file,
    connection,
    async connectionsUntil(isWanted) {
      const made: Connection[] = []
      do made.push(await connection())
      while (!made.some(isWanted) && made.length < 20)
      expect(made.some(isWanted)).toBe(true)
      return made
    },
    blockThreads,
    async [Symbol.asyncDispose]() {
      for (const socket of [...accepted, ...clients]) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
      closeSync(file)
      await rm(folder, { recursive: true })
    },
  }
}

function descriptorOf(socket: Socket): number {
  return (socket as unknown as { _handle: { fd: number } })._handle.fd
}

async function bytesFrom(socket: Socket, count: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  socket.on('data', (chunk) => {
    chunks.push(chunk)
    size += chunk.length
  })
  socket.resume()
  await until(() => size >= count)
  return Buffer.concat(chunks)
}

async function bytesUntilEnd(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

function codeOf(error: NodeJS.ErrnoException): string | undefined {
  return error.code
}
