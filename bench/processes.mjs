// @ts-check
/** Child processes: pinned to a core, measured through /proc, ended by their own id. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { get } from 'node:http'
import { get as getByTls } from 'node:https'
import { createServer } from 'node:net'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { cpuSeconds, currentMemory, peakMemory, tree } from './process-tree.mjs'

/** Servers have a core for themselves; clients and origin share the other. */
export const CORES = { server: '0', load: '1', all: '0,1' }

/** Milliseconds that a process has to become ready, and to end when it is asked to. */
const START_DEADLINE = 20_000
const STOP_DEADLINE = 5_000
/** Milliseconds without CPU after which a server is done; 100 MB/s of a slow origin show in them. */
const SETTLING = 200

/**
 * @typedef {object} Server
 * @property {string} url base URL
 * @property {() => number} cpuSeconds user and system time so far, with all of its descendants
 * @property {() => number} peakMemory most resident memory so far, in bytes, likewise
 * @property {() => number} memory resident memory now, in bytes, likewise
 * @property {(interval?: number) => Promise<void>} settled resolves when it has done nothing for so many ms
 * @property {(signal: NodeJS.Signals) => void} signal sends it
 * @property {() => Promise<void>} stop
 */

/** @type {Set<import('node:child_process').ChildProcess>} */
const children = new Set()
// Whatever ends the bench, nothing that it started outlives it.
process.once('exit', () => children.forEach(killTree))

/**
 * @param {object} options
 * @param {string} options.name
 * @param {string} options.folder its output goes to a file there
 * @param {string} options.core
 * @param {(port: number) => string[] | Promise<string[]>} options.command
 * @param {string} options.path that is answered once it is ready
 * @param {'http' | 'https'} [options.scheme]
 * @returns {Promise<Server>}
 */
export async function startServer({ name, folder, core, command, path, scheme = 'http' }) {
  const port = await freePort()
  const url = `${scheme}://127.0.0.1:${port}`
  const output = join(folder, `${name}.log`)
  const child = spawnPinned(core, await command(port), output)
  await ready(child, `${url}${path}`, output)
  const { pid } = child
  return {
    url,
    cpuSeconds: () => cpuSeconds(pid),
    peakMemory: () => peakMemory(pid),
    memory: () => currentMemory(pid),
    settled: (interval = SETTLING) => settled(pid, interval),
    signal: (signal) => void child.kill(signal),
    stop: () => stop(child),
  }
}

/**
 * Runs a command to its end, where the clients run.
 * @param {string[]} command
 * @param {string} [core]
 * @returns {Promise<string>} its standard output
 */
export function runLoad(command, core) {
  return startLoad(command, core).finish()
}

/**
 * @param {string[]} command
 * @param {string} [core]
 */
export function startLoad(command, core = CORES.load) {
  const [file = '', ...args] = pinned(core, command)
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  children.add(child)
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk) => (text += chunk))
  /** @type {Promise<void>} */
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject).once('close', (code) => {
      children.delete(child)
      if (code === 0) resolve()
      else reject(new Error(`${command.join(' ')} ended with ${code}.`))
    })
  })
  return {
    /** Resolves at the first that it says. */
    ready: () => Promise.race([once(child.stdout, 'data'), ended]),
    /** Ends its input, and resolves with all that it has said. */
    async finish() {
      child.stdin.end()
      await ended
      return text
    },
  }
}

/** @param {string} tool */
export function isInstalled(tool) {
  try {
    execFileSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/**
 * @param {string} tool
 * @param {readonly string[]} args
 */
export function runTool(tool, args) {
  execFileSync(tool, args, { stdio: 'ignore' })
}

const canPin = cpus().length > 1 && isInstalled('taskset')

/**
 * @param {string} core
 * @param {string[]} command
 */
function pinned(core, command) {
  return canPin ? ['taskset', '-c', core, ...command] : command
}

/**
 * @param {string} core
 * @param {string[]} command
 * @param {string} output
 */
function spawnPinned(core, command, output) {
  const [file = '', ...args] = pinned(core, command)
  const log = openSync(output, 'a')
  // docker-registry would take every REGISTRY_… variable for a setting.
  const env = { PATH: process.env['PATH'] }
  const child = spawn(file, args, { env, stdio: ['ignore', log, log] })
  closeSync(log)
  const { pid } = child
  if (pid === undefined) throw new Error(`${command[0]} cannot be started.`)
  children.add(child)
  child.once('exit', () => children.delete(child))
  return Object.assign(child, { pid })
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @param {string} url
 * @param {string} output
 */
async function ready(child, url, output) {
  const deadline = Date.now() + START_DEADLINE
  while (Date.now() < deadline && child.exitCode === null) {
    if (await isOk(url)) return
    await delay(50)
  }
  killTree(child)
  throw new Error(`Nothing answers at ${url}:\n${readFileSync(output, 'utf8').slice(-2000)}`)
}

/**
 * @param {string} url
 * @returns {Promise<boolean>}
 */
function isOk(url) {
  return new Promise((resolve) => {
    const listener = (/** @type {import('node:http').IncomingMessage} */ answer) => {
      answer.resume().once('close', () => resolve(answer.statusCode === 200))
    }
    // The certificate is made for this run only.
    const request = url.startsWith('https:')
      ? getByTls(url, { agent: false, rejectUnauthorized: false }, listener)
      : get(url, { agent: false }, listener)
    request.once('error', () => resolve(false))
  })
}

/**
 * What a server still does after its last client, such as storing the blob, is work for that client.
 * @param {number} pid
 * @param {number} interval ms
 */
async function settled(pid, interval) {
  const deadline = Date.now() + STOP_DEADLINE
  for (
    let before = -1;
    before !== cpuSeconds(pid) && Date.now() < deadline;
    await delay(interval)
  ) {
    before = cpuSeconds(pid)
  }
}

/**
 * A master that is killed would leave its workers behind.
 * @param {import('node:child_process').ChildProcess} child
 */
function killTree({ pid }) {
  if (pid === undefined) return
  for (const each of tree(pid)) {
    try {
      process.kill(each, 'SIGKILL')
    } catch {
      // It has just ended by itself.
    }
  }
}

/** @param {import('node:child_process').ChildProcess} child */
async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const timer = setTimeout(() => killTree(child), STOP_DEADLINE)
  child.kill('SIGTERM')
  await ended
  clearTimeout(timer)
}

/** @returns {Promise<number>} */
function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}
