/** Work on the data folder by commands, without a running mirror. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createPins } from './access/pins.ts'
import { createDamage } from './cache/damage.ts'
import { createEvictor, type Eviction } from './cache/evict.ts'
import { createInUse } from './cache/in-use.ts'
import { reconcile } from './cache/reconcile.ts'
import { verifyAll, type VerifyProgress } from './cache/verify.ts'
import { openControlCatalog } from './catalog/sqlite-control.ts'
import { readSqliteCatalog } from './catalog/sqlite.ts'
import type { Config } from './config/schema.ts'
import { controlFile } from './control-settings.ts'
import { openDataFolder, type DataFolder } from './data-folder.ts'
import type { Log } from './log.ts'
import { createMetrics } from './metrics.ts'
import type { Digest } from './oci/digest.ts'
import { StorageError } from './storage-error.ts'
import { openDiskStore } from './store/disk.ts'

/** For commands, which know neither the cache nor its folders. */
export type { Eviction } from './cache/evict.ts'
export type { MirrorStatus } from './cache/status.ts'
export type { VerifyProgress } from './cache/verify.ts'

export interface VerifyReport extends VerifyProgress {
  /** Digests of the files that were taken out of service. */
  readonly damaged: readonly string[]
  readonly rowsWithoutFiles: number
  readonly filesWithoutRows: number
  /** Facts that were found again; `undefined` unless the catalog was made anew. */
  readonly rebuilt: DataFolder['rebuilt']
}

export interface Maintenance {
  /** What would go now, without removing it. */
  plan(): Promise<Eviction[]>
  /** Removes what has to go. */
  collect(): Promise<Eviction[]>
  /** Checks every stored file, takes the damaged ones out of service, and mends the catalog. */
  verify(options: VerifyOptions): Promise<VerifyReport>
  close(): Promise<void>
}

interface VerifyOptions {
  readonly signal: AbortSignal
  readonly onProgress: (progress: VerifyProgress) => void
}

interface MaintenanceOptions {
  readonly log: Log
  /** False: beside a running mirror, only to look. */
  readonly exclusive: boolean
  /** Makes the catalog anew from the journal and the stored files. */
  readonly rebuild?: boolean
}

export type OpenMaintenance = typeof openMaintenance

/**
 * Opens the data folder.
 * @throws {StorageError} when it is to be had alone and a mirror runs on it, or there is none
 */
export async function openMaintenance(
  config: Config,
  { log, exclusive, rebuild = false }: MaintenanceOptions,
): Promise<Maintenance> {
  refuseMissing(config.data)
  const metrics = createMetrics()
  const frozen = await readFrozenDigests(config)
  const data = exclusive
    ? await openDataFolder(config.data, { rebuild, metrics, log })
    : await readDataFolder(config.data)
  const { catalog, store } = data
  const isPinned = createPins(config.pin)
  const nothing = (): void => undefined
  const evictor = createEvictor({
    ...data,
    disk: config,
    settings: () => ({ isPinned, frozenDigests: () => frozen }),
    // Nobody reads or fills anything here, and nobody has used anything since.
    inUse: createInUse(),
    usage: { flush: () => Promise.resolve() },
    onRemoved: nothing,
    metrics,
    log,
    now: Date.now,
  })
  const heal = (): Promise<boolean> => Promise.resolve(false)
  const damage = createDamage({ ...data, heal, onRemoved: nothing, metrics, log })

  async function verify({ signal, onProgress }: VerifyOptions): Promise<VerifyReport> {
    const damaged = new Set<Digest>()
    const found = async (digest: Digest): Promise<void> => {
      if (await damage.found(digest, 'scrub')) damaged.add(digest)
    }
    const compared = await reconcile({ ...data, now: Date.now, damaged: found, log, signal })
    const report = await verifyAll({ store, catalog, signal, onProgress })
    for (const digest of report.damaged) await found(digest)
    return { ...report, ...compared, damaged: [...damaged], rebuilt: data.rebuilt }
  }

  return {
    plan: () => evictor.plan(),
    async collect() {
      const evictions = await evictor.plan()
      await evictor.makeRoom()
      return evictions
    },
    verify,
    async close() {
      await evictor.close()
      await data.close()
    },
  }
}

async function readDataFolder(folder: string): Promise<Omit<DataFolder, 'spool'>> {
  const store = await openDiskStore(folder)
  const catalog = readSqliteCatalog(join(folder, 'catalog.sqlite'))
  return { store, catalog, rebuilt: undefined, close: () => catalog.close() }
}

function refuseMissing(folder: string): void {
  if (existsSync(folder)) return
  throw new StorageError('broken', `There is no data folder ${folder}: look at "data", or --data.`)
}

/** What operators have frozen stays, also while no mirror runs. */
async function readFrozenDigests(config: Config): Promise<readonly Digest[]> {
  const file = controlFile(config)
  if (!existsSync(file)) return []
  const control = openControlCatalog(file)
  try {
    const { frozenTags } = await control.state()
    return frozenTags.map(({ digest }) => digest)
  } finally {
    await control.close()
  }
}
