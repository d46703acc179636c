import { connect, createServer, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createHandOver, type HandOver, type ListenerName } from '../../src/workers/hand-over.ts'
import { until } from '../support/until.ts'

interface Got {
  readonly connection: number
  readonly listener: ListenerName
  readonly socket: Socket
}

let server: ReturnType<typeof createServer>
let accepted: Socket[]
let clients: Socket[]
let handOver: HandOver

beforeEach(async () => {
  accepted = []
  clients = []
  server = createServer({ pauseOnConnect: true }, (socket) => accepted.push(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  handOver = createHandOver()
})
afterEach(async () => {
  for (const socket of [...accepted, ...clients]) socket.destroy()
  await new Promise((resolve) => server.close(resolve))
})

/** A connection that was accepted here, and whether its client still has it. */
async function connection(): Promise<{ socket: Socket; isOpen: () => boolean }> {
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const client = connect(port, '127.0.0.1')
  client.on('error', () => undefined)
  clients.push(client)
  const before = accepted.length
  let isOpen = true
  client.resume().once('close', () => (isOpen = false))
  const socket = await until(() => accepted[before])
  return { socket, isOpen: () => isOpen }
}

function worker(id: number): Got[] {
  const got: Got[] = []
  handOver.add(id, (connection, listener, socket) => got.push({ connection, listener, socket }))
  return got
}

describe('a connection', () => {
  it('goes to the worker that has the fewest, however quick the others are', async () => {
    const [first, second] = [worker(1), worker(2)]
    for (let count = 0; count < 6; count += 1) {
      handOver.give((await connection()).socket, 'main')
      // The first takes what it gets at once.
      for (const { connection } of first) handOver.taken(1, connection)
    }
    expect([first.length, second.length]).toEqual([3, 3])
    for (const { connection } of second) handOver.left(2, connection)
    for (let count = 0; count < 3; count += 1) handOver.give((await connection()).socket, 'api')
    expect([first.length, second.length]).toEqual([3, 6])
    expect(second.map(({ listener }) => listener).join()).toBe('main,main,main,api,api,api')
  })

  it('is let go here once a worker has it, and not before', async () => {
    const [got] = [worker(1)]
    const { socket } = await connection()
    handOver.give(socket, 'main')
    expect(socket.destroyed).toBe(false)
    handOver.taken(1, got[0]?.connection ?? 0)
    expect(socket.destroyed).toBe(true)
  })

  it('waits for the first worker', async () => {
    const given = [await connection(), await connection()]
    for (const { socket } of given) handOver.give(socket, 'main')
    const got = worker(1)
    expect(got.map(({ socket }) => socket)).toEqual(given.map(({ socket }) => socket))
  })

  it('goes to another worker when the first dies before it has it', async () => {
    const first = worker(1)
    const [taken, lost] = [await connection(), await connection()]
    handOver.give(taken.socket, 'main')
    handOver.taken(1, first[0]?.connection ?? 0)
    handOver.give(lost.socket, 'api')
    const second = worker(2)
    handOver.remove(1)
    expect(second).toMatchObject([{ listener: 'api' }])
    expect(second[0]?.socket).toBe(lost.socket)
    // What the dead one said last changes nothing.
    handOver.taken(1, first[1]?.connection ?? 0)
    expect(lost.socket.destroyed).toBe(false)
  })

  it('is closed where it would wait with a thousand others', async () => {
    const { socket: one } = await connection()
    for (let count = 0; count < 1024; count += 1) handOver.give(one, 'main')
    const { socket, isOpen } = await connection()
    handOver.give(socket, 'main')
    await until(() => !isOpen())
    expect(one.destroyed).toBe(false)
  })

  it('that nobody has taken is closed at the end, and each that comes later', async () => {
    const [waiting, late] = [await connection(), await connection()]
    handOver.give(waiting.socket, 'main')
    handOver.close()
    handOver.give(late.socket, 'main')
    await until(() => !waiting.isOpen() && !late.isOpen())
    const got = worker(1)
    expect(got).toEqual([])
  })
})
