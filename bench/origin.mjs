// @ts-check
/**
 * The upstream of every measurement, a process of its own:
 *
 *   node origin.mjs FOLDER PORT
 *
 * Serves the files of FOLDER as a registry with ranges and counts requests and body bytes: GET /counters
 * tells them. POST /behaviour takes how it behaves from then on, as JSON, and sets them back to zero.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { digestOf, MANIFEST_TYPE, REPOSITORY } from './image.mjs'
import { createThrottle } from './throttle.mjs'

/**
 * @typedef {{ bytes: Buffer, digest: string, type: string }} Entry
 *
 * @typedef {object} Behaviour
 * @property {number | null} rate bytes per second for all clients together; null: as fast as it goes
 * @property {number | null} connectionRate bytes per second on each connection
 * @property {number} latency milliseconds before each answer
 */

/** Bytes that one client gets before the next one has its turn. */
const PIECE = 256 * 1024

const [folder = '', port = ''] = process.argv.slice(2)
const entries = loadEntries(folder)
const counters = { requests: 0, bodyBytes: 0 }
/** @type {Behaviour} */
let behaviour = { rate: null, connectionRate: null, latency: 0 }
let throttle = createThrottle(null)
/** @type {WeakMap<import('node:net').Socket, ReturnType<typeof createThrottle>>} */
let throttles = new WeakMap()

createServer((request, response) => {
  answer(request, response).catch(() => response.destroy())
}).listen(Number(port), '127.0.0.1')

/**
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 */
async function answer(request, response) {
  const path = request.url?.split('?', 1)[0] ?? ''
  if (path === '/counters') return void response.end(JSON.stringify(counters))
  if (path === '/behaviour') return behave(request, response)
  counters.requests += 1
  if (behaviour.latency > 0) await delay(behaviour.latency)
  if (path === '/v2/') return void response.end('{}')
  const entry = entries.get(path)
  if (entry === undefined) return void response.writeHead(404).end()
  await serve(request, response, entry)
}

/**
 * Everything is held in memory: the origin must cost little beside the clients on its core.
 * @param {string} root
 */
function loadEntries(root) {
  /** @type {Map<string, Entry>} */
  const found = new Map()
  for (const kind of ['manifests', 'blobs']) {
    const base = `/v2/${REPOSITORY}/${kind}`
    for (const name of readdirSync(join(root, base))) {
      const bytes = readFileSync(join(root, base, name))
      const type = kind === 'blobs' ? 'application/octet-stream' : MANIFEST_TYPE
      const digest = name.includes(':') ? name : digestOf(bytes)
      found.set(`${base}/${name}`, { bytes, digest, type })
    }
  }
  return found
}

/**
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 */
async function behave(request, response) {
  behaviour = /** @type {Behaviour} */ (await json(request))
  throttle = createThrottle(behaviour.rate)
  throttles = new WeakMap()
  Object.assign(counters, { requests: 0, bodyBytes: 0 })
  response.end()
}

/**
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 * @param {Entry} entry
 */
async function serve(request, response, { bytes, digest, type }) {
  const range = rangeOf(request.headers.range, bytes.length)
  const part = bytes.subarray(range?.first ?? 0, (range?.last ?? bytes.length) + 1)
  response.writeHead(range ? 206 : 200, {
    'Content-Type': type,
    'Content-Length': part.length,
    'Docker-Content-Digest': digest,
    'Accept-Ranges': 'bytes',
    ...(range && { 'Content-Range': `bytes ${range.first}-${range.last}/${bytes.length}` }),
  })
  if (request.method !== 'HEAD') await send(request.socket, response, part)
  response.end()
}

/**
 * @param {import('node:net').Socket} socket
 * @param {import('node:http').ServerResponse} response
 * @param {Buffer} bytes
 */
async function send(socket, response, bytes) {
  const own = throttles.get(socket) ?? createThrottle(behaviour.connectionRate)
  throttles.set(socket, own)
  for (let at = 0; at < bytes.length && !response.destroyed; at += PIECE) {
    const piece = bytes.subarray(at, at + PIECE)
    await own(piece.length)
    await throttle(piece.length)
    await written(response, piece)
    counters.bodyBytes += piece.length
  }
}

/**
 * @param {import('node:http').ServerResponse} response
 * @param {Buffer} piece
 * @returns {Promise<void>}
 */
function written(response, piece) {
  return new Promise((resolve, reject) => {
    response.write(piece, (error) => (error ? reject(error) : resolve()))
  })
}

/**
 * @param {string | undefined} header
 * @param {number} size
 */
function rangeOf(header, size) {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(header ?? '') ?? []
  if (first === undefined || Number(first) >= size) return undefined
  return { first: Number(first), last: last ? Math.min(Number(last), size - 1) : size - 1 }
}
