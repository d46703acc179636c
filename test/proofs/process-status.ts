/** What the kernel says of a process. Linux only. */
import { readdir, readFile } from 'node:fs/promises'

export interface ProcessStatus {
  /** Resident memory now, in bytes. */
  readonly resident: number
  /** The most that was resident so far, in bytes. */
  readonly mostResident: number
  readonly openFiles: number
}

/**
 * The process that was started with such an argument, which must be one that nobody else has.
 * @throws when there is none, or more than one
 */
export async function processWith(argument: string): Promise<number> {
  const found: string[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (command.split('\0').includes(argument)) found.push(pid)
  }
  if (found.length !== 1) throw new Error(`${found.length} processes have ${argument}.`)
  return Number(found[0])
}

export async function statusOf(pid: number): Promise<ProcessStatus> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const bytes = (name: string): number => {
    const kibibytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]
    if (kibibytes === undefined) throw new Error(`/proc/${pid}/status says nothing of ${name}.`)
    return Number(kibibytes) * 1024
  }
  return {
    resident: bytes('VmRSS'),
    mostResident: bytes('VmHWM'),
    openFiles: (await readdir(`/proc/${pid}/fd`)).length,
  }
}
