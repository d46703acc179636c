// @ts-check
/**
 * Loaded into a Node server by `--import <URL of this file>?file=FILE`, it measures how late the event
 * loop comes round. At SIGUSR2 it writes what it has seen since the last time to FILE, and begins anew.
 */
import { renameSync, writeFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** Milliseconds between two looks; what is recorded contains them. */
const RESOLUTION = 5

const file = new URL(import.meta.url).searchParams.get('file')
if (file === null) throw new Error('Which file to write to must be said as ?file=.')
const delay = monitorEventLoopDelay({ resolution: RESOLUTION })
delay.enable()

process.on('SIGUSR2', () => {
  const seen = {
    p50: late(delay.percentile(50)),
    p99: late(delay.percentile(99)),
    max: late(delay.max),
  }
  delay.reset()
  // Whoever waits for the file must not find half of it.
  writeFileSync(`${file}.new`, JSON.stringify(seen))
  renameSync(`${file}.new`, file)
})

/**
 * @param {number} nanoseconds
 * @returns {number} milliseconds
 */
function late(nanoseconds) {
  return Math.max(0, nanoseconds / 1e6 - RESOLUTION)
}
