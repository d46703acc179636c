/** Files of a host, or of a folder that is to become one: found, read, and replaced all or none. */
import { randomBytes } from 'node:crypto'
import {
  lstat,
  mkdir,
  open,
  readFile,
  readlink,
  rename,
  rmdir,
  stat,
  unlink,
} from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, posix } from 'node:path'

/** A file as it was read; all but the path is missing where there is none. */
export interface HostFile {
  /** Behind all links. */
  readonly path: string
  readonly found: FoundFile | undefined
}

export interface FoundFile extends NewFile {
  readonly owner: Owner
  /** Changes with each change of the file. */
  readonly stamp: string
}

export interface NewFile {
  readonly bytes: Buffer
  /** Permission bits. */
  readonly mode: number
  /** `undefined`: as the folder that it comes into, where this process may choose. */
  readonly owner: Owner | undefined
}

interface Owner {
  readonly uid: number
  readonly gid: number
}

export interface Replacement {
  /** As it was read. */
  readonly before: HostFile
  /** `undefined`: it is to go. */
  readonly after: NewFile | undefined
}

/** A file of the host cannot be used; nothing was changed, unless the message says so. */
export class HostFileError extends Error {
  override readonly name = 'HostFileError'
  readonly path: string

  /** @param reason begins behind the path */
  constructor(path: string, reason: string, options?: { cause?: unknown }) {
    super(`${path} ${reason}`, options)
    this.path = path
  }
}

/** Configuration is text that people write; what is larger was named by mistake. */
const MAX_BYTES = 4 * 2 ** 20
/** As many as Linux follows (path_resolution(7)). */
const MAX_LINKS = 40

/**
 * @param path absolute, on the host
 * @param home of the user whose file it is: where root writes for others, no link of theirs leads out of it
 * @throws {HostFileError}
 */
export async function readHostFile(root: string, path: string, home?: string): Promise<HostFile> {
  const shown = join(root, path)
  try {
    const real = join(root, await followLinks(root, path))
    if (home !== undefined) await refuseOutside(join(root, await followLinks(root, home)), real)
    return { path: real, found: await readFound(real) }
  } catch (error) {
    throw error instanceof HostFileError ? error : failure(shown, 'read', error)
  }
}

/** Else a user could have root change any file of the host. */
async function refuseOutside(home: string, real: string): Promise<void> {
  if (process.geteuid?.() !== 0 || real.startsWith(`${home}/`)) return
  const stats = await stat(home).catch(unlessMissing)
  if (stats === undefined || stats.uid === 0) return
  throw new HostFileError(
    real,
    'is outside of the home folder whose link leads to it, and root follows no such link. Do it as that user.',
  )
}

async function readFound(path: string): Promise<FoundFile | undefined> {
  const stats = await stat(path, { bigint: true }).catch(unlessMissing)
  if (stats === undefined) return undefined
  if (!stats.isFile()) throw new HostFileError(path, 'is not a regular file.')
  if (stats.size > MAX_BYTES) throw new HostFileError(path, 'is larger than 4 MiB.')
  return {
    bytes: await readFile(path),
    mode: Number(stats.mode) & 0o7777,
    owner: { uid: Number(stats.uid), gid: Number(stats.gid) },
    stamp: `${stats.ino} ${stats.size} ${stats.mtimeNs}`,
  }
}

/** As a host would whose root folder this is: no link leads out of it. */
async function followLinks(root: string, path: string): Promise<string> {
  let at = '/'
  let rest = path.split('/')
  for (let links = 0; links <= MAX_LINKS; links += 1) {
    let target: string | undefined
    while (target === undefined) {
      const [name, ...others] = rest
      if (name === undefined) return at
      rest = others
      const next = posix.join(at, name)
      target = next === at ? undefined : await readlink(join(root, next)).catch(unlessNoLink)
      if (target === undefined) at = next
    }
    if (isAbsolute(target)) at = '/'
    rest = [...target.split('/'), ...rest]
  }
  throw new HostFileError(join(root, path), 'leads through too many links.')
}

function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}

function unlessNoLink(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'EINVAL') unlessMissing(error)
}

/**
 * Each file is whole at any time: new ones are written beside the old, synced, and renamed. What fails on
 * the way is undone.
 * @throws {HostFileError}
 */
export async function replaceAll(replacements: readonly Replacement[]): Promise<void> {
  const undo: (() => Promise<unknown>)[] = []
  let path = ''
  try {
    const staged: (() => Promise<void>)[] = []
    for (const it of replacements) {
      path = it.before.path
      staged.push(await prepare(it, undo))
    }
    for (const { before } of replacements) {
      path = before.path
      await refuseChanged(before)
    }
    for (const [index, it] of replacements.entries()) {
      path = it.before.path
      await staged[index]?.()
      undo.push(() => putBack(it.before))
    }
    for (const { before } of replacements) {
      path = before.path
      await syncFolder(dirname(path))
    }
  } catch (error) {
    const told = error instanceof HostFileError ? error : failure(path, 'written', error)
    throw await undone(told, undo)
  }
}

/** @returns what makes it count */
async function prepare(
  { before: { path }, after }: Replacement,
  undo: (() => Promise<unknown>)[],
): Promise<() => Promise<void>> {
  if (after === undefined) return () => unlink(path)
  const folder = dirname(path)
  for (const made of await makeFolder(folder)) undo.push(() => rmdir(made))
  const temporary = temporaryName(path)
  undo.push(() => removeIfThere(temporary))
  await write(temporary, after)
  return () => rename(temporary, path)
}

/** Asked first: on a read-only file system even what is not there cannot be removed. */
async function removeIfThere(path: string): Promise<void> {
  if ((await lstat(path).catch(unlessMissing)) !== undefined) await unlink(path)
}

async function putBack({ path, found }: HostFile): Promise<void> {
  if (found === undefined) return unlink(path)
  const temporary = temporaryName(path)
  await write(temporary, found)
  await rename(temporary, path)
}

/** Where nothing looks that reads all files with some ending. */
function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.entrepot-${randomBytes(6).toString('hex')}`)
}

/** @returns the folders that were made, outermost first */
async function makeFolder(folder: string): Promise<string[]> {
  if ((await stat(folder).catch(unlessMissing)) !== undefined) return []
  const made = await makeFolder(dirname(folder))
  await mkdir(folder, { mode: 0o755 })
  const owner = await ownerOfNew(folder)
  if (owner !== undefined) await chownFolder(folder, owner)
  return [...made, folder]
}

async function chownFolder(folder: string, { uid, gid }: Owner): Promise<void> {
  const handle = await open(folder)
  try {
    await handle.chown(uid, gid)
  } finally {
    await handle.close()
  }
}

async function write(path: string, { bytes, mode, owner }: NewFile): Promise<void> {
  const handle = await open(path, 'wx', 0o600)
  try {
    await handle.writeFile(bytes)
    const wanted = owner ?? (await ownerOfNew(path))
    const { uid, gid } = await handle.stat()
    if (wanted !== undefined && (wanted.uid !== uid || wanted.gid !== gid)) {
      await handle.chown(wanted.uid, wanted.gid)
    }
    // Behind the change of owner, which takes bits away.
    await handle.chmod(mode)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** What root puts into somebody's home is theirs. Others own what they make. */
async function ownerOfNew(path: string): Promise<Owner | undefined> {
  return process.geteuid?.() === 0 ? stat(dirname(path)) : undefined
}

async function refuseChanged({ path, found }: HostFile): Promise<void> {
  const now = await readFound(path)
  if (now?.stamp !== found?.stamp) {
    throw new HostFileError(path, 'was changed by somebody else just now. Try again.')
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** @returns the error, with what could not be undone */
async function undone(
  error: HostFileError,
  undo: readonly (() => Promise<unknown>)[],
): Promise<HostFileError> {
  const left: string[] = []
  for (const step of undo.toReversed()) {
    try {
      await step()
    } catch (failed) {
      left.push((failed as Error).message)
    }
  }
  if (left.length === 0) return error
  const reason = `${error.message.slice(error.path.length + 1)} Not undone: ${left.join('; ')}.`
  return new HostFileError(error.path, reason, { cause: error })
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'this user may not',
  EPERM: 'this user may not',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EBUSY: 'it is mounted there by itself',
  ENOTDIR: 'a part of the path is no folder',
}

function failure(path: string, done: 'read' | 'written', error: unknown): HostFileError {
  const { code = 'unknown error' } = error as NodeJS.ErrnoException
  return new HostFileError(path, `cannot be ${done}: ${REASONS[code] ?? code}.`, { cause: error })
}
