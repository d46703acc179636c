/** What a client needs is put in place on this host, and taken away again. */
import { rmdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { ClientConfig, ClientFile } from './clients/client-config.ts'
import { FormatError } from './formats/format-error.ts'
import {
  HostFileError,
  readHostFile,
  replaceAll,
  type FoundFile,
  type HostFile,
  type NewFile,
  type Replacement,
} from './host-files.ts'

/** For the command, which knows neither the rooms nor their folders. */
export { CLIENT_NAMES, type ClientName, type MirrorFacts } from './clients/client-config.ts'
export { clientConfig } from './clients/configure.ts'
export { describeClient } from './clients/describe.ts'

export interface Place {
  /** The folder that is, or becomes, the root of the host: `/` of this one. */
  readonly root: string
  /** Of who uses the client, as the host has it. */
  readonly home: string
}

/**
 * `written`: our part is in it now. `restored`: it is what it was before. `cleaned`: our part was taken out.
 * `deleted`: there was nothing else in it. `left`: it is not needed now, and cannot be read.
 */
type Change = 'written' | 'restored' | 'cleaned' | 'deleted' | 'unchanged' | 'left'

export interface ChangedFile {
  readonly path: string
  readonly change: Change
  /** What it was before our part came into it, where that is kept. */
  readonly backup: string | undefined
  /** Why it was left as it is. */
  readonly reason?: string
}

/** Nothing was changed at all. */
export class ClientSetupError extends Error {
  override readonly name = 'ClientSetupError'
  /** The file that was to be changed; what belongs there has to be put there by hand. */
  readonly file: ClientFile

  constructor(message: string, file: ClientFile, options?: { cause?: unknown }) {
    super(message, options)
    this.file = file
  }
}

/**
 * Brings our part into every file of a client, or into none. What a file was before is kept beside it.
 * @throws {ClientSetupError}
 */
export function writeClient(config: ClientConfig, place: Place): Promise<ChangedFile[]> {
  return changeAll(config, place, planWrite)
}

/**
 * Takes our part out of every file of a client, or of none; what was kept is put back where nobody has
 * changed the file since.
 * @throws {ClientSetupError}
 */
export function removeClient(config: ClientConfig, place: Place): Promise<ChangedFile[]> {
  return changeAll(config, place, planRemove)
}

/** Below `certs.d` each registry has a folder of its own. */
async function removeEmptyFolder(path: string): Promise<void> {
  const folder = dirname(path)
  if (basename(dirname(folder)) === 'certs.d') await rmdir(folder).catch(() => undefined)
}

/** What becomes of one file, and of what was kept of it. */
interface Plan {
  readonly result: ChangedFile
  readonly replacements: readonly Replacement[]
}

interface PlanOfFile extends Plan {
  readonly file: ClientFile
}

interface Present {
  readonly file: ClientFile
  readonly current: HostFile
  readonly backup: HostFile
}

/** Files that belong to other settings lose our part in either case. */
async function changeAll(
  { files, formerFiles }: ClientConfig,
  place: Place,
  plan: (present: Present) => Plan,
): Promise<ChangedFile[]> {
  const plans: PlanOfFile[] = []
  for (const file of files) plans.push({ file, ...(await planOf(file, place, plan)) })
  for (const file of formerFiles) {
    const former = await planOf(file, place, planFormer)
    if (former.result.change !== 'unchanged') plans.push({ file, ...former })
  }
  try {
    await replaceAll(plans.flatMap(({ replacements }) => replacements))
  } catch (error) {
    throw refusalOf(error, plans)
  }
  const changed = plans.map(({ result }) => result)
  for (const { path, change } of changed) if (change === 'deleted') await removeEmptyFolder(path)
  return changed
}

/** The file is that of the plan that failed. */
function refusalOf(error: unknown, plans: readonly PlanOfFile[]): unknown {
  if (!(error instanceof HostFileError)) return error
  const failed = plans.find(({ replacements }) =>
    replacements.some(({ before }) => before.path === error.path),
  )
  return failed === undefined ? error : refusal(failed.file, error.path, error)
}

async function planOf(
  file: ClientFile,
  { root, home }: Place,
  plan: (present: Present) => Plan,
): Promise<Plan> {
  const isOfUser = file.path.startsWith('~/')
  const path = isOfUser ? join(home, file.path.slice(2)) : file.path
  try {
    const current = await readHostFile(root, path, isOfUser ? home : undefined)
    const kept = `${current.path}.entrepot-backup`
    const backup = await readHostFile('/', kept, isOfUser ? join(root, home) : undefined)
    return plan({ file, current, backup })
  } catch (error) {
    throw refusal(file, join(root, path), error)
  }
}

function planWrite({ file, current, backup }: Present): Plan {
  const { path, found } = current
  if (found === undefined) {
    if (file.onlyIfThere) return unchanged(current)
    const after = { bytes: Buffer.from(file.text), mode: file.mode, owner: undefined }
    return change({ path, change: 'written', backup: backup.found && backup.path }, [
      { before: current, after },
    ])
  }
  const text = decode(found.bytes)
  const merged = file.merge(text)
  const mode = narrowed(file, found)
  if (merged === text && mode === found.mode) return unchanged(current)
  const keeps = backup.found === undefined && !isOurs(file, text)
  const kept = keeps || backup.found !== undefined
  return change({ path, change: 'written', backup: kept ? backup.path : undefined }, [
    ...(keeps ? [{ before: backup, after: found }] : []),
    { before: current, after: { ...found, bytes: Buffer.from(merged), mode } },
  ])
}

/** What others may read must not come to hold a secret. */
function narrowed({ mode }: ClientFile, found: FoundFile): number {
  return (mode & 0o077) === 0 ? found.mode & ~0o007 : found.mode
}

/** Of an earlier time, with nothing in it that would have to be kept. */
function isOurs(file: ClientFile, text: string): boolean {
  return file.remove(text) === undefined
}

function planRemove(present: Present): Plan {
  const { file, current, backup } = present
  const { path, found } = current
  if (found === undefined) return unchanged(current)
  const text = decode(found.bytes)
  const rest = file.remove(text)
  const kept = backup.found && keptOf(present, backup.found, { text, rest })
  if (kept === 'restorable') {
    return change({ path, change: 'restored', backup: undefined }, [
      { before: current, after: backup.found },
      { before: backup, after: undefined },
    ])
  }
  if (rest === text) return unchanged(current)
  const after = rest === undefined ? undefined : { ...found, bytes: Buffer.from(rest) }
  const isKept = kept === 'different'
  return change(
    {
      path,
      change: after === undefined ? 'deleted' : 'cleaned',
      backup: isKept ? backup.path : undefined,
    },
    [
      { before: current, after },
      ...(kept === 'superfluous' ? [{ before: backup, after: undefined }] : []),
    ],
  )
}

/** A file that cannot be read now cannot have been left so by us: it is for somebody else to mend. */
function planFormer(present: Present): Plan {
  try {
    return planRemove(present)
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    const { path } = present.current
    return change({ path, change: 'left', backup: undefined, reason: withPlace(path, error) }, [])
  }
}

/**
 * Whether what was kept is what the file was before our part came into it, holds nothing more than what is
 * left without it, or holds something that was changed since.
 */
function keptOf(
  { file }: Present,
  { bytes }: NewFile,
  { text, rest }: { readonly text: string; readonly rest: string | undefined },
): 'restorable' | 'superfluous' | 'different' {
  try {
    const original = decode(bytes)
    const bare = file.remove(original)
    const isWithoutUs = bare === original
    if (rest === original || (isWithoutUs && file.merge(original) === text)) {
      return 'restorable'
    }
    return rest === bare ? 'superfluous' : 'different'
  } catch {
    // It was changed itself.
    return 'different'
  }
}

function change(result: ChangedFile, replacements: readonly Replacement[]): Plan {
  return { result, replacements }
}

function unchanged({ path }: HostFile): Plan {
  return change({ path, change: 'unchanged', backup: undefined }, [])
}

const UTF_8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** @throws {FormatError} where bytes would be lost */
function decode(bytes: Buffer): string {
  try {
    return UTF_8.decode(bytes)
  } catch {
    throw new FormatError('is not UTF-8')
  }
}

function refusal(file: ClientFile, path: string, error: unknown): unknown {
  if (error instanceof HostFileError) {
    return new ClientSetupError(error.message, file, { cause: error })
  }
  if (error instanceof FormatError) {
    return new ClientSetupError(withPlace(path, error), file, { cause: error })
  }
  return error
}

function withPlace(path: string, { line, column, message }: FormatError): string {
  const place = [path, line, line === undefined ? undefined : column]
  return `${place.filter((it) => it !== undefined).join(':')}: ${message}`
}
