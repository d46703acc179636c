/** What a closed mirror must not leave behind. */
import { readdir, readlink } from 'node:fs/promises'
import { join, sep } from 'node:path'

/** Files below `<data>/spool`: none when no fill is parked. */
export async function spoolFiles(dataDir: string): Promise<string[]> {
  return listOrNothing(join(dataDir, 'spool'))
}

/** Descriptors of this process that lie below a folder; nothing where there is no `/proc`. */
export async function openFilesBelow(folder: string): Promise<string[]> {
  const descriptors = await listOrNothing('/proc/self/fd')
  const targets = await Promise.all(
    descriptors.map((descriptor) => readlink(`/proc/self/fd/${descriptor}`).catch(() => '')),
  )
  return targets.filter((target) => target.startsWith(folder + sep))
}

/** How many descriptors this process has, those of sockets and pipes as well. */
export async function openDescriptors(): Promise<number> {
  return (await listOrNothing('/proc/self/fd')).length
}

async function listOrNothing(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
