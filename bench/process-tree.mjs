// @ts-check
/** What a process and all of its descendants have used, by proc(5). */
import { readdirSync, readFileSync } from 'node:fs'

/** USER_HZ, which Linux shows to programs as 100 on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100

/**
 * User and system time so far; that of descendants that have ended counts in their parents'.
 * @param {number} pid
 */
export function cpuSeconds(pid) {
  const ticks = tree(pid).reduce((sum, each) => sum + ticksOf(each), 0)
  return ticks / TICKS_PER_SECOND
}

/**
 * The most resident memory of each process so far, summed: bytes. Pages that they share count in each.
 * @param {number} pid
 */
export function peakMemory(pid) {
  return memory(pid, 'VmHWM')
}

/** @param {number} pid */
export function currentMemory(pid) {
  return memory(pid, 'VmRSS')
}

/**
 * What everybody else has used of this machine, and what it was denied by its host.
 * @param {number} pid
 */
export function cpuSecondsOfOthers(pid) {
  // user, nice, system and steal; what interrupts take for us is charged to nobody.
  const [user, nice, system, , , , , steal] = read('/proc/stat')
    .split(/\s+/)
    .slice(1, 9)
    .map(Number)
  const ticks = (user ?? 0) + (nice ?? 0) + (system ?? 0) + (steal ?? 0)
  return ticks / TICKS_PER_SECOND - cpuSeconds(pid)
}

/**
 * @param {number} root
 * @returns {number[]} its own id and those of its descendants
 */
export function tree(root) {
  /** @type {Map<number, number[]>} */
  const children = new Map()
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    const parent = Number.isInteger(pid) ? Number(statOf(pid)[1]) : Number.NaN
    if (!Number.isNaN(parent)) children.set(parent, [...(children.get(parent) ?? []), pid])
  }
  const found = [root]
  for (const pid of found) found.push(...(children.get(pid) ?? []))
  return found
}

/** @param {number} pid */
function ticksOf(pid) {
  // utime, stime, cutime and cstime: fields 14 to 17.
  return statOf(pid)
    .slice(11, 15)
    .reduce((sum, field) => sum + Number(field), 0)
}

/**
 * @param {number} pid
 * @returns {string[]} fields from the third on; none if it has just ended
 */
function statOf(pid) {
  const stat = read(`/proc/${pid}/stat`)
  // After the name, which may hold spaces.
  return stat === '' ? [] : stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

/**
 * @param {number} pid
 * @param {string} field
 */
function memory(pid, field) {
  const line = new RegExp(`^${field}:\\s*(\\d+) kB$`, 'm')
  return tree(pid).reduce((sum, each) => {
    const kilobytes = line.exec(read(`/proc/${each}/status`))?.[1] ?? 0
    return sum + Number(kilobytes) * 1024
  }, 0)
}

/** @param {string} file */
function read(file) {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return ''
  }
}
