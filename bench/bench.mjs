// @ts-check
/** What every scenario works with: the images, one origin, the servers to compare, and the load. */
import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { get as getPlain } from 'node:http'
import { get as getByTls } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { makeImage, MANIFEST_TYPE } from './image.mjs'
import { CORES, runLoad, startServer } from './processes.mjs'
import { startSubject } from './subjects.mjs'

const ORIGIN = fileURLToPath(new URL('origin.mjs', import.meta.url))
const LOAD = fileURLToPath(new URL('load.mjs', import.meta.url))
/** Milliseconds without CPU after which a server is done with what it had in its cache. */
const HOT_SETTLING = 100

/** @typedef {Awaited<ReturnType<typeof openBench>>} Bench */
/** @typedef {import('./load.mjs').LoadResult} LoadResult */
/** @typedef {import('./processes.mjs').Server} Server */

/**
 * @typedef {object} Origin
 * @property {string} url
 * @property {Server['cpuSeconds']} cpuSeconds
 * @property {Server['settled']} settled
 * @property {() => Promise<{ requests: number, bodyBytes: number }>} counters since the last change of behaviour
 * @property {(behaviour?: Partial<import('./origin.mjs').Behaviour>) => Promise<void>} behave from now on; without limits, unless they are said
 *
 * @typedef {object} Work what a server did for a load
 * @property {LoadResult} load
 * @property {number} cpuSeconds
 */

/**
 * @param {object} options
 * @param {import('./sizes.mjs').Sizes} options.sizes
 * @param {readonly string[]} options.subjects
 * @param {string} options.build
 * @param {string | undefined} options.before
 * @param {boolean} options.hasHuge
 */
export async function openBench({ sizes, subjects, build, before, hasHuge }) {
  const temp = await mkdtemp(join(tmpdir(), 'entrepot-bench-'))
  // Also after an interrupt, once the processes that write there are gone.
  process.once('exit', () => rmSync(temp, { recursive: true, force: true }))
  try {
    const image = await makeImage(join(temp, 'image'), sizes, hasHuge)
    const server = await startOrigin(temp, image.folder)
    const origin = observed(server)
    const setting = { originUrl: origin.url, image, build, before }
    return {
      sizes,
      subjects,
      build,
      image,
      origin,
      temp,
      /**
       * @param {string} name
       * @param {import('./subjects.mjs').Variation} [variation]
       */
      start: (name, variation = {}) => startSubject(name, temp, { ...setting, variation }),
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
 */
function startOrigin(temp, folder) {
  return startServer({
    name: 'origin',
    folder: temp,
    core: CORES.load,
    command: async (port) => [process.execPath, ORIGIN, folder, String(port)],
    path: '/v2/',
  })
}

/**
 * @param {Server} server
 * @returns {Origin}
 */
function observed({ url, cpuSeconds, settled }) {
  return {
    url,
    cpuSeconds,
    settled,
    counters: async () => JSON.parse(await (await fetch(`${url}/counters`)).text()),
    async behave({ rate = null, connectionRate = null, latency = 0 } = {}) {
      const body = JSON.stringify({ rate, connectionRate, latency })
      const answer = await fetch(`${url}/behaviour`, { method: 'POST', body })
      await answer.arrayBuffer()
    },
  }
}

/**
 * Pulls once, as a client that pays no attention to time but to every byte.
 * @param {{ url: string }} server
 * @param {string} path
 */
async function pull({ url }, path) {
  const answer = await open(`${url}${path}`)
  const hash = createHash('sha256')
  for await (const chunk of answer) hash.update(chunk)
  if (answer.statusCode !== 200) throw new Error(`${url}${path} answered ${answer.statusCode}.`)
  const asked = /sha256:(.*)$/.exec(path)?.[1]
  if (asked !== undefined && asked !== hash.digest('hex')) throw new Error(`${path} came wrong.`)
}

/**
 * @param {string} url
 * @returns {Promise<import('node:http').IncomingMessage>}
 */
function open(url) {
  // The certificate is made for this run only.
  const options = { agent: false, rejectUnauthorized: false, headers: { accept: MANIFEST_TYPE } }
  return new Promise((resolve, reject) => {
    const get = url.startsWith('https:') ? getByTls : getPlain
    get(url, options, resolve).once('error', reject)
  })
}

/**
 * Puts a load on a server and waits until all the work that it caused is done.
 * @param {Pick<Server, 'url' | 'cpuSeconds' | 'settled'>} server
 * @param {string} path
 * @param {Omit<import('./load.mjs').Job, 'url' | 'paths'> & { paths?: readonly string[] }} job
 * @param {string} [core] of the clients
 * @returns {Promise<Work>}
 */
async function measure(server, path, job, core) {
  const before = server.cpuSeconds()
  const whole = { url: server.url, paths: [path], accept: MANIFEST_TYPE, ...job }
  const text = await runLoad([process.execPath, LOAD, JSON.stringify(whole)], core)
  await server.settled(job.repeat ? HOT_SETTLING : undefined)
  return { load: JSON.parse(text), cpuSeconds: server.cpuSeconds() - before }
}
