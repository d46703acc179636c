/** The way to another process, with a real one at its other end. */
import { fork } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Socket, connect, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { processPort } from '../../src/workers/port.ts'
import { within } from '../support/until.ts'

/** Sends back what it is sent, and writes into each connection what came with it. */
const ECHO = `process.on('message', (message, socket) => {
  if (socket) socket.end(JSON.stringify(message))
  else process.send(message)
})
process.on('disconnect', () => process.exit())
`

let folder: string
let program: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'entrepot-port-'))
  program = join(folder, 'echo.mjs')
  await writeFile(program, ECHO)
})
afterAll(() => rm(folder, { recursive: true }))

it('carries data in its order, and connections apart from it', async () => {
  const child = fork(program, { serialization: 'advanced', execArgv: [] })
  const exited = new Promise((resolve) => child.once('exit', resolve))
  try {
    const port = processPort(child)
    const handles: unknown[] = []
    port.receiveHandles((message) => handles.push(message))
    const received: unknown[] = []
    const all = new Promise<void>((resolve) => {
      port.receive((message) => received.push(message) === 3 && resolve())
    })
    const sent = [{ number: 1 }, new Map([['key', Buffer.from('bytes').toString()]]), undefined]
    for (const message of sent) port.send(message)
    await within(all, { deadlineMs: 10_000, what: 'all messages to come back' })
    expect(received).toEqual(sent)
    expect(await within(throughConnection(port), { deadlineMs: 10_000, what: 'an answer' })).toBe(
      JSON.stringify({ withHandle: { connection: 1 } }),
    )
    expect(handles).toEqual([])
    // What is told apart from data is for the other listener.
    port.sendHandle({ connection: 2 }, undefined)
    port.send('last')
    await within(
      new Promise<void>((resolve) => child.on('message', () => received.length === 4 && resolve())),
      { deadlineMs: 10_000, what: 'the last message to come back' },
    )
    expect(handles).toEqual([{ connection: 2 }])
    child.disconnect()
    // Nobody is there any more: lost, and no error of the process.
    port.send('too late')
  } finally {
    if (child.connected) child.disconnect()
    await within(exited, { deadlineMs: 10_000, what: 'the other process to end' })
  }
})

/** @returns what the other process writes into a connection that was accepted here */
async function throughConnection(port: ReturnType<typeof processPort>): Promise<string> {
  const server = createServer({ pauseOnConnect: true })
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const socket = await accepted
  port.sendHandle({ connection: 1 }, socket)
  let text = ''
  for await (const chunk of client) text += String(chunk)
  socket.destroy()
  await new Promise((resolve) => server.close(resolve))
  return text
}
