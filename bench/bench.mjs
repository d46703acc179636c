// @ts-check
/** What every scenario works with: one image, one origin, the servers to compare, and the load. */
import { rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { makeImage, MANIFEST_TYPE } from './image.mjs'
import { CORES, runLoad, startServer } from './processes.mjs'
import { startSubject } from './subjects.mjs'

const ORIGIN = fileURLToPath(new URL('origin.mjs', import.meta.url))
const LOAD = fileURLToPath(new URL('load.mjs', import.meta.url))

/** @typedef {Awaited<ReturnType<typeof openBench>>} Bench */
/** @typedef {import('./load.mjs').LoadResult} LoadResult */

/**
 * @typedef {object} Origin
 * @property {string} url
 * @property {() => number} cpuSeconds
 * @property {() => Promise<void>} settled
 * @property {() => Promise<{ requests: number, bodyBytes: number }>} counters since the last reset
 * @property {() => Promise<void>} reset
 */

/**
 * @typedef {object} Work what a server did for a load
 * @property {LoadResult} load
 * @property {number} cpuSeconds
 */

/**
 * @param {import('./arguments.mjs').Sizes} sizes
 * @param {readonly string[]} subjects
 */
export async function openBench(sizes, subjects) {
  const temp = await mkdtemp(join(tmpdir(), 'entrepot-bench-'))
  // Also after an interrupt, once the processes that write there are gone.
  process.once('exit', () => rmSync(temp, { recursive: true, force: true }))
  try {
    const image = await makeImage(join(temp, 'image'), sizes)
    const server = await startOrigin(temp, image.folder, sizes.originRate)
    const origin = observed(server)
    const setting = { originUrl: origin.url, imageFolder: image.folder }
    return {
      sizes,
      subjects,
      image,
      origin,
      temp,
      /**
       * @param {string} name
       * @param {readonly string[]} [nodeOptions] for a server that runs on Node
       */
      start: (name, nodeOptions = []) => startSubject(name, temp, { ...setting, nodeOptions }),
      pull,
      measure,
      async close() {
        await server.stop()
        await rm(temp, { recursive: true, force: true })
      },
    }
  } catch (error) {
    await rm(temp, { recursive: true, force: true })
    throw error
  }
}

/**
 * @param {string} temp
 * @param {string} folder
 * @param {number} rate
 */
function startOrigin(temp, folder, rate) {
  return startServer({
    name: 'origin',
    folder: temp,
    core: CORES.load,
    command: (port) => [process.execPath, ORIGIN, folder, String(port), String(rate)],
    path: '/v2/',
  })
}

/**
 * @param {import('./processes.mjs').Server} server
 * @returns {Origin}
 */
function observed({ url, cpuSeconds, settled }) {
  return {
    url,
    cpuSeconds,
    settled,
    counters: async () => JSON.parse(await (await fetch(`${url}/counters`)).text()),
    reset: async () => void (await fetch(`${url}/counters`, { method: 'POST' })).body?.cancel(),
  }
}

/**
 * Pulls once, as a client that pays no attention to time.
 * @param {{ url: string }} server
 * @param {string} path
 */
async function pull({ url }, path) {
  const answer = await fetch(`${url}${path}`, { headers: { accept: MANIFEST_TYPE } })
  for await (const _ of answer.body ?? []);
  if (!answer.ok) throw new Error(`${url}${path} answered ${answer.status}.`)
}

/**
 * Puts a load on a server and waits until all the work that it caused is done.
 * @param {Pick<import('./processes.mjs').Server, 'url' | 'cpuSeconds' | 'settled'>} server
 * @param {string} path
 * @param {Omit<import('./load.mjs').Job, 'url'>} job
 * @returns {Promise<Work>}
 */
async function measure(server, path, job) {
  const before = server.cpuSeconds()
  const text = await runLoad([
    process.execPath,
    LOAD,
    JSON.stringify({ url: `${server.url}${path}`, ...job }),
  ])
  await server.settled()
  return { load: JSON.parse(text), cpuSeconds: server.cpuSeconds() - before }
}
