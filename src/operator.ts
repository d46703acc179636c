/** The operators' use-cases on a data folder, for commands on the host itself. */
import { chownSync, existsSync, mkdirSync, statSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import type { Grant } from './access/principal.ts'
import { describeContent, type DescribeDependencies } from './cache/describe.ts'
import type { ControlCatalog } from './catalog/control-catalog.ts'
import { openControlCatalog } from './catalog/sqlite-control.ts'
import { readSqliteCatalog } from './catalog/sqlite.ts'
import type { Config } from './config/schema.ts'
import { controlFile, controlSettings } from './control-settings.ts'
import { createControl } from './control/create-control.ts'
import type { KnownContent } from './control/explainer.ts'
import type { Operator } from './control/operator.ts'
import type { Log } from './log.ts'
import { createMetrics } from './metrics.ts'

/** For commands, which know neither the rooms nor their folders. */
export { readPattern } from './access/rule.ts'
export { brokenLink } from './catalog/audit-chain.ts'
export { ControlError } from './control/error.ts'
export type { Grant, PrincipalKind, Role } from './access/principal.ts'
export type { Effect, Rule } from './access/rule.ts'
export type {
  AccessRequest,
  ApprovalRecord,
  AuditEntry,
  FrozenTagRecord,
} from './catalog/control-catalog.ts'
export type { ControlErrorCode, InvalidField } from './control/error.ts'
export type { Explanation } from './control/explain.ts'
export type {
  Approval,
  CreatedToken,
  ListedRule,
  ListedToken,
  ListedUser,
  NewRule,
  NewToken,
  Operator,
} from './control/operator.ts'

export interface OpenedOperator {
  readonly operator: Operator
  close(): Promise<void>
}

export type OpenOperator = typeof openOperator

/**
 * Opens what operators have decided, beside a running mirror or without one. Whoever may write the data
 * folder may do everything, so nobody is asked who they are.
 * @throws {StorageError}
 */
export async function openOperator(
  config: Config,
  { log }: { readonly log: Log },
): Promise<OpenedOperator> {
  const settings = controlSettings(config)
  const known = openKnownContent(config, (key, tag) => control.policy().frozenTo(key, tag))
  const control = await createControl({
    catalog: openOwnControlCatalog(config),
    settings,
    content: known.content,
    metrics: createMetrics(),
    log,
  })
  const { username } = userInfo()
  const principal = { kind: 'host', name: username, grants: EVERYTHING } as const
  return {
    operator: control.operator({ principal, address: 'local' }),
    async close() {
      await control.close()
      await known.close()
    },
  }
}

const EVERYTHING: readonly Grant[] = [{ role: 'admin', pattern: '**' }]

/** Made by root, it belongs to whom the folder belongs to: the mirror has to write it. */
function openOwnControlCatalog(config: Config): ControlCatalog {
  const file = controlFile(config)
  mkdirSync(config.data, { recursive: true, mode: 0o700 })
  const isNew = !existsSync(file)
  const catalog = openControlCatalog(file)
  if (isNew && process.getuid?.() === 0) {
    const { uid, gid } = statSync(config.data)
    for (const end of ['', '-wal', '-shm'])
      if (existsSync(file + end)) chownSync(file + end, uid, gid)
  }
  return catalog
}

/** What the mirror knows of its content, without the mirror; nothing before its first start. */
function openKnownContent(
  config: Config,
  frozenTo: DescribeDependencies['frozenTo'],
): { content: KnownContent; close(): Promise<void> } {
  const file = join(config.data, 'catalog.sqlite')
  if (!existsSync(file)) return { content: NOTHING, close: () => Promise.resolve() }
  const catalog = readSqliteCatalog(file)
  const limitsOf = (upstream: string) => config.upstreams.get(upstream)
  const dependencies: DescribeDependencies = { catalog, limitsOf, frozenTo, now: Date.now }
  return {
    content: {
      describe: (key, reference) => describeContent(dependencies, key, reference),
      tagsLeadingTo: (key, digest) => catalog.tags.leadingTo(key, digest),
    },
    close: () => catalog.close(),
  }
}

const NOTHING: KnownContent = {
  describe: async () => ({
    digest: undefined,
    checkedAt: undefined,
    freshness: undefined,
    isStored: false,
    blobs: { stored: 0, missing: 0, missingBytes: 0 },
    firstSeenAt: undefined,
    upstream: undefined,
  }),
  tagsLeadingTo: async () => [],
}
