/**
 * Clients that take their time, in a process of their own.
 *
 *   node slow-clients.mjs <socket file of the mirror> <path of a large blob> <heads> <readers>
 *
 * `heads` connections send the head of a request byte by byte and never end it; whoever is cut off
 * comes again. `readers` connections read the blob in small pieces. What has become of them is
 * printed once a second, a JSON object a line.
 */
import { connect } from 'node:net'
import { setInterval as everySoOften } from 'node:timers/promises'

const [socketFile = '', path = '', heads = '0', readers = '0'] = process.argv.slice(2)
const HEAD = `GET ${path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: slow/1.0\r\nX-Slow: `
/** Connections that are opened at a time, so that no queue of the kernel overflows. */
const OPENED_AT_ONCE = 250
const PIECE_BYTES = 8 * 1024
/** Every connection does something once in so many ticks. */
const TICKS = 10
const TICK_MS = 100
/** Milliseconds until a client that was cut off comes again. */
const LONGEST_ABSENCE = 3000

const state = {
  headsOpen: 0,
  mostHeadsOpen: 0,
  headsRefused: 0,
  readersServed: 0,
  readersCut: 0,
  bytesRead: 0,
}
const dripping = new Set()
const reading = new Set()
/** Nobody looks at what comes. */
const piece = Buffer.alloc(PIECE_BYTES)

async function openHeads(count) {
  for (let opened = 0; opened < count; opened += OPENED_AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(OPENED_AT_ONCE, count - opened) }, openHead))
  }
}

/** Resolves when the server has accepted it. */
function openHead() {
  return new Promise((resolve) => {
    const socket = connect({ path: socketFile })
    let sent = 0
    const drip = () => {
      // Some have only begun the first line, others are among the headers.
      socket.write(HEAD[sent] ?? 'x')
      sent += 1
    }
    socket.once('connect', () => {
      state.headsOpen += 1
      state.mostHeadsOpen = Math.max(state.mostHeadsOpen, state.headsOpen)
      const start = Math.floor(Math.random() * HEAD.length)
      socket.write(HEAD.slice(0, start))
      sent = start
      dripping.add(drip)
      resolve()
    })
    socket.on('data', () => undefined)
    socket.on('error', () => undefined)
    socket.once('close', () => {
      if (dripping.delete(drip)) state.headsOpen -= 1
      state.headsRefused += 1
      setTimeout(() => void openHead(), Math.random() * LONGEST_ABSENCE)
      resolve()
    })
  })
}

async function openReaders(count) {
  for (let opened = 0; opened < count; opened += OPENED_AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(OPENED_AT_ONCE, count - opened) }, openReader))
  }
}

/** Resolves when its answer has begun. */
function openReader() {
  return new Promise((resolve) => {
    let served = false
    const take = (length) => {
      state.bytesRead += length
      if (!served) {
        served = true
        if (piece.toString('latin1', 0, length).startsWith('HTTP/1.1 200')) state.readersServed += 1
        resolve()
      }
      // Until its turn comes again.
      return false
    }
    const onread = { buffer: piece, callback: take }
    const socket = connect({ path: socketFile, onread })
    const readOn = () => socket.resume()
    reading.add(readOn)
    socket.on('error', () => undefined)
    socket.once('close', () => {
      reading.delete(readOn)
      state.readersCut += 1
      resolve()
    })
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
  })
}

async function takeTurns() {
  let tick = 0
  for await (const _ of everySoOften(TICK_MS)) {
    tick += 1
    let number = 0
    for (const act of [...dripping, ...reading]) {
      number += 1
      if (number % TICKS === tick % TICKS) act()
    }
    if (tick % TICKS === 0) process.stdout.write(`${JSON.stringify(state)}\n`)
  }
}

void takeTurns()
await openReaders(Number(readers))
await openHeads(Number(heads))
