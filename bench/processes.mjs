// @ts-check
/** Child processes: pinned to a core, measured through /proc, ended by their own id. */
import { execFileSync, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** Servers have a core for themselves; clients and origin share the other. */
export const CORES = { server: '0', load: '1' }

/** USER_HZ, which Linux shows to programs as 100 on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100
/** Milliseconds that a process has to become ready, and to end when it is asked to. */
const START_DEADLINE = 20_000
const STOP_DEADLINE = 5_000

/**
 * @typedef {object} Server
 * @property {string} url base URL
 * @property {() => number} cpuSeconds user and system time so far
 * @property {() => number} peakMemory most resident memory so far, in bytes
 * @property {() => Promise<void>} settled resolves when it has stopped working
 * @property {(signal: NodeJS.Signals) => void} signal sends it
 * @property {() => Promise<void>} stop
 */

/** @type {Set<import('node:child_process').ChildProcess>} */
const children = new Set()
// Whatever ends the bench, nothing that it started outlives it.
process.once('exit', () => children.forEach((child) => child.kill('SIGKILL')))

/**
 * @param {object} options
 * @param {string} options.name
 * @param {string} options.folder its output goes to a file there
 * @param {string} options.core
 * @param {(port: number) => string[] | Promise<string[]>} options.command
 * @param {string} options.path that is answered once it is ready
 * @returns {Promise<Server>}
 */
export async function startServer({ name, folder, core, command, path }) {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const output = join(folder, `${name}.log`)
  const child = spawnPinned(core, await command(port), output)
  await ready(child, `${url}${path}`, output)
  const { pid } = child
  return {
    url,
    cpuSeconds: () => cpuSeconds(pid),
    peakMemory: () => peakMemory(pid),
    settled: () => settled(pid),
    signal: (signal) => void child.kill(signal),
    stop: () => stop(child),
  }
}

/**
 * Runs a command to its end, where the clients run.
 * @param {string[]} command
 * @returns {Promise<string>} its standard output
 */
export async function runLoad(command) {
  const [file = '', ...args] = pinned(CORES.load, command)
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  children.add(child)
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk) => (text += chunk))
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject).once('close', resolve)
  })
  children.delete(child)
  if (code !== 0) throw new Error(`${command[0]} ended with ${code}.`)
  return text
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
    const answer = await fetch(url).catch(() => undefined)
    await answer?.arrayBuffer()
    if (answer?.ok) return
    await delay(50)
  }
  child.kill('SIGKILL')
  throw new Error(`Nothing answers at ${url}:\n${readFileSync(output, 'utf8').slice(-2000)}`)
}

/** @param {number} pid */
function cpuSeconds(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  // After the name, which may hold spaces: utime and stime are the fields 14 and 15 of proc(5).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** @param {number} pid */
function peakMemory(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1]) * 1024
}

/**
 * What a server still does after its last client, such as storing the blob, is work for that client.
 * @param {number} pid
 */
async function settled(pid) {
  const deadline = Date.now() + STOP_DEADLINE
  for (let before = -1; before !== cpuSeconds(pid) && Date.now() < deadline; await delay(200)) {
    before = cpuSeconds(pid)
  }
}

/** @param {import('node:child_process').ChildProcess} child */
async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE)
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
