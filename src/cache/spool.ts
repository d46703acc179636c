/**
 * Files in the making: `<data>/spool/<hex of the digest>.<id>`, on the filesystem of the store. What an
 * unfinished download has brought lies there for a while, with a journal beside it, and the next
 * download of the same blob goes on from it: after a crash as well as after an outage.
 */
import { randomUUID } from 'node:crypto'
import { mkdir, open, readdir, readFile, rm, stat, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { digestHex, type Digest } from '../oci/digest.ts'
import { storageFailure } from '../storage-error.ts'
import { createExtents, type Extent, type Extents } from './extents.ts'
import { extentLine, headerLine, parseJournal } from './spool-journal.ts'

interface SpoolFile {
  readonly path: string
  readonly handle: FileHandle
}

/** A file that may hold what an earlier download brought. */
export interface PartialFile extends SpoolFile {
  /** Bytes of the whole blob, where an earlier download learned it. */
  readonly size: number | undefined
  /** What is in the file already. */
  readonly extents: Extents
  /** Writes down which bytes are in the file, for whoever goes on with it. Not twice at a time. */
  note(size: number, extents: readonly Extent[]): Promise<void>
  /** Closes the journal. The file itself is closed by whoever read it last. */
  close(): Promise<void>
}

/** Every method throws StorageError and nothing else. */
export interface Spool {
  /** Opened for reading and writing; nobody else has this file. */
  create(digest: Digest): Promise<SpoolFile>
  /** What was left of an earlier download from this upstream, or a new file. */
  resume(upstream: string, digest: Digest): Promise<PartialFile>
  /** Lets a file lie for the next download, where that is worth it; otherwise removes it. */
  park(file: PartialFile, upstream: string, digest: Digest): Promise<void>
  /** The file may have been adopted by the store already. */
  remove(path: string): Promise<void>
  /** Removes what lies there for longer than `maxAge` ms. @returns bytes that were removed */
  sweep(maxAge: number): Promise<number>
  /** Blobs that lie there whole: the process was ended before it could store them. */
  finished(): { readonly upstream: string; readonly digest: Digest }[]
  /** Bytes of the downloads that lie there unfinished. */
  parkedBytes(): number
}

/** Less is fetched again in no time. */
export const WORTH_KEEPING_BYTES = 1024 * 1024
/** Milliseconds after which nobody is expected to ask for the rest. */
const MAX_PARKED_AGE = 24 * 60 * 60 * 1000

const JOURNAL = '.journal'

interface Parked extends Owner {
  readonly path: string
  readonly isWhole: boolean
  readonly bytes: number
  /** Milliseconds since the epoch. */
  readonly since: number
}

/**
 * Keeps what can be continued of an earlier process, and removes the rest.
 * @throws {StorageError}
 */
export async function openSpool(folder: string, now: () => number = Date.now): Promise<Spool> {
  const parked = await guarded(findParked(folder, now() - MAX_PARKED_AGE))

  async function create(digest: Digest): Promise<SpoolFile> {
    const path = join(folder, `${digestHex(digest)}.${randomUUID()}`)
    return { path, handle: await open(path, 'wx+', 0o600) }
  }

  async function remove(path: string): Promise<void> {
    await rm(path, { force: true })
    await rm(path + JOURNAL, { force: true })
  }

  async function sweep(maxAge: number): Promise<number> {
    let removed = 0
    for (const [key, { path, bytes, since }] of parked) {
      if (now() - since < maxAge) continue
      parked.delete(key)
      await remove(path)
      removed += bytes
    }
    return removed
  }

  async function resume(upstream: string, digest: Digest): Promise<PartialFile> {
    await sweep(MAX_PARKED_AGE)
    const key = keyOf(upstream, digest)
    const left = parked.get(key)
    parked.delete(key)
    const reopened = left && (await reopen(left))
    if (reopened) return reopened
    if (left) await remove(left.path)
    return withJournal(await create(digest), { upstream, digest }, undefined)
  }

  async function park(file: PartialFile, upstream: string, digest: Digest): Promise<void> {
    const bytes = file.extents.total()
    if (bytes < WORTH_KEEPING_BYTES) return remove(file.path)
    const left = { upstream, digest, path: file.path, bytes, since: now(), isWhole: false }
    parked.set(keyOf(upstream, digest), left)
  }

  return {
    create: (digest) => guarded(create(digest)),
    resume: (upstream, digest) => guarded(resume(upstream, digest)),
    park: (file, upstream, digest) => guarded(park(file, upstream, digest)),
    remove: (path) => guarded(remove(path)),
    sweep: (maxAge) => guarded(sweep(maxAge)),
    finished: () =>
      [...parked.values()]
        .filter(({ isWhole }) => isWhole)
        .map(({ upstream, digest }) => ({ upstream, digest })),
    parkedBytes: () => [...parked.values()].reduce((sum, { bytes }) => sum + bytes, 0),
  }
}

/** What belongs to nobody goes: files without a journal, journals without a file, what is too old or too little. */
async function findParked(folder: string, oldest: number): Promise<Map<string, Parked>> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const names = new Set(await readdir(folder))
  const parked = new Map<string, Parked>()
  for (const name of names) {
    if (!name.endsWith(JOURNAL)) continue
    const path = join(folder, name.slice(0, -JOURNAL.length))
    const journal = parseJournal(await readFile(path + JOURNAL, 'utf8').catch(() => ''))
    const since = (await stat(path).catch(() => undefined))?.mtimeMs ?? 0
    if (!journal || since < oldest) continue
    const { upstream, digest, size, extents } = journal
    const bytes = extents.total()
    const isWhole = bytes === size
    if (!isWhole && bytes < WORTH_KEEPING_BYTES) continue
    const key = keyOf(upstream, digest)
    const isMost = (parked.get(key)?.bytes ?? -1) < bytes
    if (isMost) parked.set(key, { upstream, digest, path, bytes, since, isWhole })
  }
  const kept = new Set([...parked.values()].flatMap(({ path }) => [path, path + JOURNAL]))
  for (const name of names) {
    const path = join(folder, name)
    if (!kept.has(path)) await rm(path, { recursive: true, force: true })
  }
  return parked
}

interface Owner {
  readonly upstream: string
  readonly digest: Digest
}

/** `undefined` when it is not what its journal says any more: then the download begins anew. */
async function reopen({ path, upstream, digest }: Parked): Promise<PartialFile | undefined> {
  try {
    const journal = parseJournal(await readFile(path + JOURNAL, 'utf8'))
    // After a power cut the file may be shorter than what was written to it.
    const { size } = await stat(path)
    if (journal === undefined || size < (journal.extents.list().at(-1)?.end ?? 0)) return undefined
    const handle = await open(path, 'r+')
    return withJournal({ path, handle }, { upstream, digest }, journal)
  } catch {
    return undefined
  }
}

function withJournal(
  { path, handle }: SpoolFile,
  owner: Owner,
  found: { readonly size: number; readonly extents: Extents } | undefined,
): PartialFile {
  let journal: FileHandle | undefined
  return {
    path,
    handle,
    size: found?.size,
    extents: found?.extents ?? createExtents(),
    async note(size, extents) {
      try {
        // A torn line of the earlier process must not swallow the next one.
        const start = journal ? '' : found ? '\n' : headerLine({ ...owner, size })
        journal ??= await open(path + JOURNAL, 'a', 0o600)
        await journal.appendFile(start + extents.map(extentLine).join(''))
      } catch (error) {
        throw storageFailure(error)
      }
    },
    async close() {
      const open = journal
      journal = undefined
      await open?.close()
    },
  }
}

async function guarded<T>(result: Promise<T>): Promise<T> {
  try {
    return await result
  } catch (error) {
    throw storageFailure(error)
  }
}

function keyOf(upstream: string, digest: Digest): string {
  return `${upstream} ${digest}`
}
