/** Whether this process, rather than an upstream, is what makes a download slow. */
import { availableParallelism } from 'node:os'

/** The part of the time in which the event loop, or all cores that there are, may be at work. */
const BUSY = 0.8

/** Begins to watch. @returns whether there was hardly a pause since then */
export function watchOwnLoad(): () => boolean {
  const loop = performance.eventLoopUtilization()
  const work = process.cpuUsage()
  const since = process.hrtime.bigint()
  return () => {
    const { user, system } = process.cpuUsage(work)
    const microseconds = Number(process.hrtime.bigint() - since) / 1000
    const cores = (user + system) / microseconds / availableParallelism()
    return Math.max(cores, performance.eventLoopUtilization(loop).utilization) > BUSY
  }
}
