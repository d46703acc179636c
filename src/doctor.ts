/** Looks at a mirror from a node or from its own host, and says what is wrong and what to do about it. */
import { createDataChecks, diskOf, type Disk } from './doctor/data-folder.ts'
import { skipped, type Finding } from './doctor/finding.ts'
import { createHostChecks, HOST_FACTS, type HostFacts } from './doctor/host.ts'
import type { Login } from './doctor/login.ts'
import {
  createMirrorClient,
  type MirrorClient,
  type MirrorPlace,
  type Resolve,
} from './doctor/mirror-client.ts'
import { checkStatus } from './doctor/mirror-status.ts'
import { judgeProxies } from './doctor/proxies.ts'
import { createPullCheck, type PullOptions } from './doctor/pull.ts'
import { createReachChecks } from './doctor/reach.ts'
import { createRegistryChecks } from './doctor/registry.ts'
import { checkRules } from './doctor/rules.ts'
import { runChecks, type Check } from './doctor/run.ts'
import { createUpstreamCheck } from './doctor/upstreams.ts'
import type { Config } from './config/schema.ts'
import { resolveBySystem } from './upstream/connect.ts'

/** For the command, which knows none of the rooms. */
export type { Finding, State } from './doctor/finding.ts'
export type { Login } from './doctor/login.ts'
export type { MirrorPlace } from './doctor/mirror-client.ts'
export { CLIENT_NAMES, type ClientName } from './clients/client-config.ts'
export { parsePulledImage } from './doctor/pulled-image.ts'

export interface Examination {
  /** The mirror as others see it; `undefined`: it is not asked. */
  readonly place: MirrorPlace | undefined
  /** It is the one of this host: where that does not run there is nothing to ask. */
  readonly isOwn: boolean
  /** On the host of the mirror. */
  readonly host: HostExamination | undefined
  /** Who pulls. */
  readonly login: Login | undefined
  /** Who may see the status. */
  readonly token: string | undefined
  /** What is pulled to try it. */
  readonly pull: PullOptions | undefined
  readonly env: Readonly<Record<string, string | undefined>>
}

interface HostExamination {
  readonly config: Config
  /** Upstreams are not asked: the configuration or an operator says so. */
  readonly offline: boolean
}

export interface DoctorDependencies {
  readonly resolve?: Resolve
  /** Milliseconds since the epoch. */
  readonly now?: () => number
  /** Milliseconds of a monotonic clock. */
  readonly clock?: () => number
  readonly facts?: HostFacts
  readonly diskOf?: (folder: string) => Promise<Disk>
  /** Bytes that are written at most to see how fast the disk is; 64 MiB. */
  readonly trialBytes?: number | undefined
}

export type Examine = typeof examine

/**
 * @param onFinding told of each finding, in an order that does not change
 * @throws what the signal was aborted with
 */
export async function examine(
  examination: Examination,
  signal: AbortSignal,
  onFinding: (finding: Finding) => void,
  dependencies: DoctorDependencies = {},
): Promise<void> {
  const given = {
    resolve: resolveBySystem,
    now: Date.now,
    clock: () => performance.now(),
    facts: HOST_FACTS,
    diskOf,
    trialBytes: undefined,
    ...dependencies,
  }
  const { host, place } = examination
  const hostChecks = host === undefined ? NO_HOST : checksOfHost(host, examination.pull, given)
  const client = place === undefined ? undefined : createMirrorClient(place, given.resolve)
  const mirrorChecks =
    client === undefined ? [] : checksOfMirror(client, examination, hostChecks.running, given)
  await runChecks([...hostChecks.all, ...mirrorChecks], signal, onFinding)
}

type Given = Required<DoctorDependencies>

interface HostChecks {
  readonly all: readonly Check[]
  /** Without it nobody answers on this host. */
  readonly running: Check | undefined
}

const NO_HOST: HostChecks = { all: [], running: undefined }

function checksOfHost(
  { config, offline }: HostExamination,
  pull: PullOptions | undefined,
  given: Given,
): HostChecks {
  const data = createDataChecks(config, given)
  const allow = config.allow.map(({ pattern }) => pattern)
  const upstreams = [...config.upstreams.values()].map((upstream) =>
    offline
      ? notAsked(upstream.name)
      : createUpstreamCheck(upstream, {
          allow,
          repository: pull?.image.upstream === upstream.name ? pull.image.repository : undefined,
          resolve: given.resolve,
        }),
  )
  const rules: Check = { name: 'rules', run: () => checkRules(config, given.now()) }
  const host = createHostChecks(config, given.facts, given.now)
  return { all: [rules, ...host, ...data.all, ...upstreams], running: data.running }
}

function notAsked(name: string): Check {
  return {
    name: `upstream ${name}`,
    run: async () => skipped('the mirror is offline, so no upstream is asked'),
  }
}

function checksOfMirror(
  client: MirrorClient,
  { host, isOwn, login, token, pull, env }: Examination,
  running: Check | undefined,
  { now, clock }: Given,
): Check[] {
  const defaultUpstream = isOwn ? host?.config.defaultUpstream : undefined
  const needs = isOwn && running !== undefined ? [running] : []
  const proxies: Check = {
    name: 'proxies',
    run: async () => judgeProxies(client.place, env),
  }
  const reach = createReachChecks(client, { needs, now })
  const { all, registry } = createRegistryChecks(client, reach.last, { login, now })
  const status: Check = {
    name: 'status',
    needs: [registry],
    run: (signal) => checkStatus(client, token, signal),
  }
  const pulls =
    pull === undefined
      ? []
      : [createPullCheck(client, pull, { login, defaultUpstream, clock, needs: [registry] })]
  return [proxies, ...reach.all, ...all, status, ...pulls]
}
