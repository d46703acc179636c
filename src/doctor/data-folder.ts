/** The data folder: whether the mirror can use it, has room in it, and how fast its disk is. */
import { constants } from 'node:fs'
import { access, open, rm, stat, statfs } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'
import { isFolderLocked } from '../catalog/lock.ts'
import { readSqliteCatalog } from '../catalog/sqlite.ts'
import type { Config } from '../config/schema.ts'
import { failed, ok, skipped, warning, type Verdict } from './finding.ts'
import { measureDisk } from './disk-speed.ts'
import type { Check } from './run.ts'
import { sizeText } from '../size-text.ts'

export interface DataChecks {
  readonly all: readonly Check[]
  /** Skipped where no mirror runs on the folder, as is all that needs it. */
  readonly running: Check
}

type Settings = Pick<Config, 'data' | 'budget' | 'minFree'>

export interface DataDependencies {
  /** Milliseconds of a monotonic clock. */
  readonly clock: () => number
  /** What the system says of the disk of a folder. */
  readonly diskOf: (folder: string) => Promise<Disk>
  /** Bytes that are written at most to see how fast the disk is. */
  readonly trialBytes: number | undefined
}

export interface Disk {
  /** As `statfs(2)` has it. */
  readonly type: number
  readonly bytes: number
  /** Bytes that this user may still write. */
  readonly freeBytes: number
  /** 0 where the system counts none. */
  readonly files: number
  readonly freeFiles: number
}

export async function diskOf(folder: string): Promise<Disk> {
  const { type, bsize, blocks, bavail, files, ffree } = await statfs(folder)
  return { type, bytes: blocks * bsize, freeBytes: bavail * bsize, files, freeFiles: ffree }
}

export function createDataChecks(
  settings: Settings,
  { clock, diskOf, trialBytes }: DataDependencies,
): DataChecks {
  const { data } = settings
  const folder: Check = { name: 'data folder', run: () => checkFolder(data) }
  const running: Check = {
    name: 'running',
    needs: [folder],
    run: async () =>
      isFolderLocked(data)
        ? ok(`a mirror runs on ${data}`)
        : skipped(`no mirror runs on ${data}: entrepot serve starts it, or its service`),
  }
  const kind: Check = {
    name: 'file system',
    needs: [folder],
    run: async () => judgeKind((await diskOf(data)).type),
  }
  const room: Check = {
    name: 'disk space',
    needs: [folder],
    run: async () => judgeRoom(settings, await diskOf(data), await storedBytes(data)),
  }
  const files: Check = {
    name: 'inodes',
    needs: [folder],
    run: async () => judgeFiles(await diskOf(data)),
  }
  const speed: Check = {
    name: 'disk speed',
    needs: [folder],
    deadline: 60_000,
    async run(signal) {
      const { freeBytes } = await diskOf(data)
      return measureDisk(data, freeBytes - settings.minFree, {
        clock,
        signal,
        maxBytes: trialBytes,
      })
    },
  }
  return { all: [folder, running, kind, room, files, speed], running }
}

async function checkFolder(data: string): Promise<Verdict> {
  const found = await stat(data).catch(() => undefined)
  if (found === undefined) return judgeMissing(data)
  if (!found.isDirectory()) {
    return failed(`${data} is no folder`, 'Name another one under "data", or take it away.')
  }
  const reason = await whyUnwritable(data)
  if (reason !== undefined) {
    return failed(
      `this user (${userText()}) cannot write into ${data}: ${reason}`,
      `Run this as the user of the mirror. If it is that already, give the folder to it: chown -R ${process.getuid?.() ?? 'USER'} ${data}`,
    )
  }
  if (process.getuid !== undefined && found.uid !== process.getuid()) {
    return warning(
      `${data} belongs to user ${found.uid}, and this is ${userText()}`,
      'Run this as the user of the mirror: what another writes there the mirror could not change.',
    )
  }
  return ok(`${data} is there, and can be written`)
}

async function judgeMissing(data: string): Promise<Verdict> {
  const parent = dirname(data)
  const mayMake = await access(parent, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  )
  if (mayMake) {
    return skipped(
      `there is no ${data} yet: the mirror makes it at its first start; if it was there, look at what is mounted`,
    )
  }
  return failed(
    `there is no folder ${data}, and this user (${userText()}) may not make it`,
    'Make it, and give it to the user of the mirror; or mend "data" or --data.',
  )
}

/** By writing: permissions alone do not tell of a disk that is mounted read-only, or full. */
async function whyUnwritable(data: string): Promise<string | undefined> {
  const file = join(data, `.doctor-${randomBytes(6).toString('hex')}`)
  try {
    const handle = await open(file, 'wx', 0o600)
    try {
      // As for the trial of the disk: nothing stays, whatever ends this process.
      await rm(file)
      await handle.write('entrepot doctor\n')
    } finally {
      await handle.close()
    }
    return undefined
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    return UNWRITABLE.get(code) ?? code
  }
}

const UNWRITABLE: ReadonlyMap<string, string> = new Map([
  ['EACCES', 'it may not'],
  ['EPERM', 'it may not'],
  ['EROFS', 'the disk is mounted read-only'],
  ['ENOSPC', 'the disk is full'],
  ['EDQUOT', 'its quota is used up'],
  ['EIO', 'the disk is broken'],
])

function userText(): string {
  return `user ${process.getuid?.() ?? 'unknown'}`
}

/** Magic numbers of statfs(2). */
const KINDS: ReadonlyMap<number, readonly [found: string, advice: string]> = new Map([
  [
    0x0102_1994,
    [
      'the data folder is in memory (tmpfs), and gone after a restart',
      'Put it on a disk ("data"), unless that is meant.',
    ],
  ],
  [
    0x794c_7630,
    [
      'the data folder is in the layers of a container (overlayfs), and gone with the container',
      'Mount a volume there.',
    ],
  ],
  [
    0x6969,
    [
      'the data folder is on NFS, where locks and renames are not sure',
      'Put it on a disk of this host: SQLite and the store rely on both.',
    ],
  ],
  [
    0xff53_4d42,
    [
      'the data folder is on CIFS, where locks and renames are not sure',
      'Put it on a disk of this host: SQLite and the store rely on both.',
    ],
  ],
])

function judgeKind(type: number): Verdict {
  const known = KINDS.get(type)
  return known === undefined ? ok('the file system is fit for it') : warning(...known)
}

function judgeRoom(
  { budget, minFree }: Settings,
  { bytes, freeBytes }: Disk,
  stored: number | undefined,
): Verdict {
  const free = `${sizeText(freeBytes)} of ${sizeText(bytes)} are free`
  if (freeBytes <= minFree) {
    return failed(
      `${free}, and "minFree" wants ${sizeText(minFree)}: nothing new is stored`,
      'Make room on the disk, or set a smaller "budget", so that the mirror removes what is least used.',
    )
  }
  const room = (stored ?? 0) + freeBytes - minFree
  if (budget === undefined) {
    return ok(`${free}; without "budget" the mirror fills the disk up to ${sizeText(minFree)}`)
  }
  if (budget > room && stored !== undefined) {
    return warning(
      `"budget" is ${sizeText(budget)}, and the disk has room for ${sizeText(room)}`,
      'Set "budget" to less than that, or get a larger disk: else others on the disk are short of room first.',
    )
  }
  return ok(`${free}, "budget" is ${sizeText(budget)}`)
}

/** `undefined` where nothing is known of it, such as before the first start. */
async function storedBytes(data: string): Promise<number | undefined> {
  try {
    const catalog = readSqliteCatalog(join(data, 'catalog.sqlite'))
    try {
      return await catalog.blobs.totalSize()
    } finally {
      await catalog.close()
    }
  } catch {
    return undefined
  }
}

function judgeFiles({ files, freeFiles }: Disk): Verdict {
  if (files === 0) return skipped('this file system does not count its files')
  const found = `${freeFiles} of ${files} inodes are free`
  if (freeFiles === 0) {
    return failed(
      found,
      'No file can be made: remove some, or make the file system anew with more.',
    )
  }
  return freeFiles < files / 20
    ? warning(found, 'When there are none left, no file can be made although there is room.')
    : ok(found)
}
