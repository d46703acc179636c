/** A disk of a few megabytes that really is full when it is full: a tmpfs. Linux, and the right to mount. */
import { execFile } from 'node:child_process'
import { mkdtemp, open, rm, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

export interface SmallDisk extends AsyncDisposable {
  /** Where it is mounted. */
  readonly folder: string
  /** Somebody else takes what is left, but for so many bytes. */
  fillUp(leave: number): Promise<void>
  /** And gives it back. */
  giveBack(): Promise<void>
}

const run = promisify(execFile)
const PIECE = 64 * 1024

/**
 * @param bytes of the disk
 * @throws where mounting is not permitted: a proof that has not run must not look like one that has
 */
export async function mountSmallDisk(bytes: number): Promise<SmallDisk> {
  const folder = await mkdtemp(join(tmpdir(), 'entrepot-small-disk-'))
  await run('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=700`, 'tmpfs', folder]).catch(
    async (cause: unknown) => {
      await rmdir(folder)
      throw new Error('This proof mounts a tmpfs: run it as root, in a container with SYS_ADMIN.', {
        cause,
      })
    },
  )
  const ballast = join(folder, 'ballast')
  return {
    folder,
    async fillUp(leave) {
      await rm(ballast, { force: true })
      await writeUntilFull(ballast)
      await leaveFree(ballast, leave)
    },
    giveBack: () => rm(ballast, { force: true }),
    async [Symbol.asyncDispose]() {
      await run('umount', [folder])
      await rmdir(folder)
    },
  }
}

async function writeUntilFull(file: string): Promise<void> {
  const handle = await open(file, 'w')
  try {
    for (;;) await handle.write(Buffer.alloc(PIECE))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  } finally {
    await handle.close()
  }
}

async function leaveFree(file: string, bytes: number): Promise<void> {
  const handle = await open(file, 'r+')
  try {
    await handle.truncate(Math.max(0, (await handle.stat()).size - bytes))
  } finally {
    await handle.close()
  }
}
