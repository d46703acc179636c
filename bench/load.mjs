// @ts-check
/**
 * The clients, a process of their own so that what they cost is not counted as the server's:
 *
 *   node load.mjs '{"url": "http://…", "paths": ["/v2/…"], "connections": 50, …}'
 *
 * prints what happened as one line of JSON. Raw sockets, since an HTTP client would become the
 * bottleneck long before the servers do.
 */
import { readFileSync } from 'node:fs'
import { createConversation } from './conversation.mjs'
import { openEpoll } from './epoll.mjs'
import { runOnEpoll } from './load-epoll.mjs'
import { runOnNode } from './load-node.mjs'

/**
 * @typedef {object} Job
 * @property {string} url base URL
 * @property {readonly string[]} paths that each group asks for, one after the other
 * @property {number} connections
 * @property {number} [group] connections that share one list of paths; 1, unless said otherwise
 * @property {'GET' | 'HEAD'} [method] GET, unless said otherwise
 * @property {string} [accept]
 * @property {readonly [number, number]} [range] first and last byte
 * @property {boolean} [repeat] begin again at the end of the paths, until the time is over
 * @property {number} seconds after which everybody leaves
 * @property {string} [expected] file whose bytes every body must have
 * @property {number} [bytesPerSecond] that each client reads at most
 *
 * @typedef {object} LoadResult
 * @property {'epoll' | 'node'} engine by which the clients read
 * @property {number} seconds from the first request until everybody was done or had left
 * @property {number} cpuSeconds of the clients, their start included
 * @property {number} bytes of bodies, complete or not
 * @property {number} complete answers that came whole and, where it was asked for, right
 * @property {number} broken answers that were cut or wrong, or of another status
 * @property {number} unfinished connections that nobody could wait for any longer
 * @property {{ median: number, p99: number, max: number }} firstByte seconds until the headers and the first byte of the body
 *
 * @typedef {object} Run
 * @property {number} seconds
 * @property {number} unfinished
 */

await main(JSON.parse(process.argv[2] ?? ''))

/** @param {Job} job */
async function main(job) {
  const expected = job.expected === undefined ? undefined : readFileSync(job.expected)
  /** @type {import('./conversation.mjs').Tally} */
  const tally = { bytes: 0, complete: 0, broken: 0, firstBytes: [] }
  const paths = sharedPaths(job)
  const conversations = paths.map((next) => createConversation(job, next, tally, expected))
  // What nobody sees, nobody can compare, and the kernel drops no plaintext of TLS.
  const mustSee = expected !== undefined || job.bytesPerSecond !== undefined
  const epoll = mustSee || job.url.startsWith('https:') ? undefined : await openEpoll()
  const { seconds, unfinished } = await (epoll
    ? runOnEpoll(epoll, job, conversations, tally)
    : runOnNode(job, conversations, tally))
  const { firstBytes, ...counts } = tally
  const { user, system } = process.cpuUsage()
  /** @type {LoadResult} */
  const result = {
    engine: epoll ? 'epoll' : 'node',
    seconds,
    unfinished,
    cpuSeconds: (user + system) / 1e6,
    ...counts,
    firstByte: quantiles(firstBytes),
  }
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit())
}

/**
 * For each connection, what it asks for next.
 * @param {Job} job
 * @returns {(() => string | undefined)[]}
 */
function sharedPaths({ connections, group = 1, paths, repeat = false }) {
  return Array.from({ length: Math.ceil(connections / group) }, () => {
    let at = 0
    const next = () => paths[repeat ? at++ % paths.length : at++]
    return Array.from({ length: group }, () => next)
  })
    .flat()
    .slice(0, connections)
}

/** @param {number[]} values */
function quantiles(values) {
  const sorted = Float64Array.from(values).toSorted()
  const at = (/** @type {number} */ share) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
  return { median: at(0.5), p99: at(0.99), max: at(1) }
}
