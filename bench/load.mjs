// @ts-check
/**
 * The clients, a process of their own so that what they cost is not counted as the server's:
 *
 *   node load.mjs '{"url": "http://…", "connections": 50, …}'
 *
 * prints what happened as one line of JSON. Raw sockets with one shared buffer, since an HTTP client
 * would become the bottleneck long before the servers do.
 */
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { MANIFEST_TYPE } from './image.mjs'

/**
 * @typedef {object} Job
 * @property {string} url
 * @property {number} connections
 * @property {'GET' | 'HEAD'} [method] GET, unless said otherwise
 * @property {boolean} [repeat] ask again and again on each connection, until the time is over
 * @property {number} [seconds] then everybody leaves
 * @property {string} [expected] file whose bytes every body must have
 * @property {number} [bytesPerSecond] that each client reads at most
 *
 * @typedef {object} LoadResult
 * @property {number} seconds from the first request until everybody was done or had left
 * @property {number} bytes of bodies, complete or not
 * @property {number} complete answers that came whole and, where it was asked for, right
 * @property {number} broken answers that were cut or wrong, or other than 200
 * @property {number} unfinished answers that nobody could wait for any longer
 * @property {{ median: number, p99: number, max: number }} firstByte seconds until the headers and the first byte of the body
 */

const HEAD_END = '\r\n\r\n'
/** Bytes read from a socket at a time. */
const CHUNK = 1024 * 1024
/** A slow reader reads little at a time, or else it would read in bursts. */
const SLOW_CHUNK = 32 * 1024

const job = /** @type {Job} */ (JSON.parse(process.argv[2] ?? ''))
const expected = job.expected === undefined ? undefined : readFileSync(job.expected)
const buffer = Buffer.alloc(job.bytesPerSecond ? SLOW_CHUNK : CHUNK)
const { hostname, port, pathname } = new URL(job.url)
const method = job.method ?? 'GET'
const question =
  `${method} ${pathname} HTTP/1.1\r\nHost: ${hostname}:${port}\r\n` +
  `Accept: ${MANIFEST_TYPE}\r\nUser-Agent: bench\r\n\r\n`
const result = { bytes: 0, complete: 0, broken: 0 }
/** @type {number[]} */
const firstBytes = []
let started = 0
let connected = 0
let running = job.connections

const clients = Array.from({ length: job.connections }, () => createClient())

/** All connect before the first one asks: the connections are no part of what is measured. */
function oneMoreIsConnected() {
  connected += 1
  if (connected < job.connections) return
  started = performance.now()
  if (job.seconds !== undefined) setTimeout(finish, job.seconds * 1000)
  for (const client of clients) client.ask()
}

function oneMoreIsDone() {
  running -= 1
  if (running === 0) finish()
}

function finish() {
  const seconds = (performance.now() - started) / 1000
  firstBytes.sort((a, b) => a - b)
  const firstByte = { median: quantile(0.5), p99: quantile(0.99), max: quantile(1) }
  const report = JSON.stringify({ seconds, ...result, unfinished: running, firstByte })
  process.stdout.write(`${report}\n`, () => process.exit())
}

/** @param {number} share */
function quantile(share) {
  return firstBytes[Math.min(firstBytes.length - 1, Math.floor(firstBytes.length * share))]
}

function createClient() {
  let head = ''
  let isInHead = true
  let size = 0
  let position = 0
  let asked = 0
  let done = false
  const socket = connect({
    host: hostname,
    port: Number(port),
    onread: { buffer, callback: (count) => received(count) },
  })
  socket.once('connect', oneMoreIsConnected)
  socket.on('error', (error) => {
    if (started === 0) throw error
  })
  socket.once('close', () => leave(false))

  function ask() {
    head = ''
    isInHead = true
    position = 0
    asked = performance.now()
    socket.write(question)
  }

  /**
   * @param {number} count bytes in the shared buffer
   * @returns {boolean} whether to go on reading
   */
  function received(count) {
    const start = isInHead ? readHead(count) : 0
    if (!isInHead && !done) readBody(start, count)
    return pace(count)
  }

  /**
   * @param {number} count
   * @returns {number} where the body begins
   */
  function readHead(count) {
    const before = head.length
    head += buffer.toString('latin1', 0, count)
    const end = head.indexOf(HEAD_END)
    if (end === -1) return count
    isInHead = false
    const said = /\r\ncontent-length: *(\d+)/i.exec(head.slice(0, end + 2))?.[1]
    if (!head.startsWith('HTTP/1.1 200 ') || said === undefined) leave(false)
    size = method === 'HEAD' ? 0 : Number(said)
    return end + HEAD_END.length - before
  }

  /**
   * @param {number} start
   * @param {number} end
   */
  function readBody(start, end) {
    if (position === 0 && (end > start || size === 0)) {
      firstBytes.push((performance.now() - asked) / 1000)
    }
    result.bytes += end - start
    const next = position + end - start
    const isRight =
      next <= size && (expected?.compare(buffer, start, end, position, next) ?? 0) === 0
    position = next
    if (!isRight) leave(false)
    else if (position === size) answerIsComplete()
  }

  function answerIsComplete() {
    if (!job.repeat) return leave(true)
    result.complete += 1
    ask()
  }

  /** @param {boolean} isComplete */
  function leave(isComplete) {
    if (done) return
    done = true
    if (isComplete) result.complete += 1
    else result.broken += 1
    socket.destroy()
    oneMoreIsDone()
  }

  /** @param {number} count */
  function pace(count) {
    if (job.bytesPerSecond === undefined || done) return true
    setTimeout(() => socket.resume(), (count / job.bytesPerSecond) * 1000)
    return false
  }

  return { ask }
}
