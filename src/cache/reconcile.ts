/**
 * Makes the catalog and the store agree again, after a crash or after somebody has changed the files.
 * Nothing is hashed. Fills may run meanwhile: they adopt the file first, and put the row after that.
 */
import type { UsedBlob } from '../catalog/catalog.ts'
import type { Log } from '../log.ts'
import type { Digest } from '../oci/digest.ts'
import type { Content } from './verify.ts'

export interface Reconciled {
  /** Rows that were removed. */
  readonly rowsWithoutFiles: number
  /** Files that got a row, so that they count for the budget. */
  readonly filesWithoutRows: number
  /** Files whose size is not that of their row. */
  readonly wrongSizes: number
}

interface Dependencies extends Content {
  readonly now: () => number
  /** Told of each file of another size; the next one waits for it. */
  readonly damaged: (digest: Digest) => Promise<unknown>
  readonly log: Log
  readonly signal: AbortSignal
}

const PAGE = 500

/**
 * @throws {StorageError}
 * @throws the signal's reason when it aborts
 */
export async function reconcile(dependencies: Dependencies): Promise<Reconciled> {
  const { log } = dependencies
  const files = await reconcileFiles(dependencies)
  const rows = await reconcileRows(dependencies)
  const found = { ...files, ...rows }
  if (Object.values(found).some((count) => count > 0)) {
    log.warn(found, 'the catalog and the stored files did not agree: mended')
  }
  return found
}

type Rows = Pick<Reconciled, 'rowsWithoutFiles' | 'wrongSizes'>

async function reconcileRows({ store, catalog, damaged, signal }: Dependencies): Promise<Rows> {
  let rowsWithoutFiles = 0
  let wrongSizes = 0
  for await (const blob of rows({ store, catalog })) {
    signal.throwIfAborted()
    const size = await store.size(blob.digest)
    if (size === undefined) {
      if (await removeRow({ store, catalog }, blob)) rowsWithoutFiles += 1
    } else if (size !== ((await catalog.blobs.size(blob.digest)) ?? size)) {
      wrongSizes += 1
      await damaged(blob.digest)
    }
  }
  return { rowsWithoutFiles, wrongSizes }
}

/** A file that comes while its row goes has been stored anew: it gets the row back. */
async function removeRow({ store, catalog }: Content, blob: UsedBlob): Promise<boolean> {
  const { digest, usedAt, isManifest } = blob
  if ((await catalog.blobs.size(digest)) === undefined) return false
  await catalog.blobs.remove(digest)
  const size = await store.size(digest)
  if (size !== undefined) {
    await catalog.blobs.put({ digest, size }, usedAt)
    return false
  }
  if (isManifest) await catalog.contents.forgetManifest(digest)
  return true
}

async function* rows({ catalog }: Content): AsyncGenerator<UsedBlob> {
  for (let page = await catalog.blobs.leastRecentlyUsed(PAGE); page.length > 0;) {
    yield* page
    page = await catalog.blobs.leastRecentlyUsed(PAGE, page.at(-1))
  }
}

type Files = Pick<Reconciled, 'filesWithoutRows'>

/** Looked at in batches, so that what is just being stored or removed has time to be finished. */
async function reconcileFiles({ store, catalog, now, signal }: Dependencies): Promise<Files> {
  let filesWithoutRows = 0
  let batch: Digest[] = []
  async function addMissing(): Promise<void> {
    for (const digest of batch) {
      if (await addRow({ store, catalog }, digest, now())) filesWithoutRows += 1
    }
    batch = []
  }

  for await (const { digest } of store.list()) {
    signal.throwIfAborted()
    if ((await catalog.blobs.size(digest)) === undefined) batch.push(digest)
    if (batch.length === PAGE) await addMissing()
  }
  await addMissing()
  return { filesWithoutRows }
}

async function addRow(
  { store, catalog }: Content,
  digest: Digest,
  usedAt: number,
): Promise<boolean> {
  const size = await store.size(digest)
  if (size === undefined || (await catalog.blobs.size(digest)) !== undefined) return false
  await catalog.blobs.put({ digest, size }, usedAt)
  return true
}
