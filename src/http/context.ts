/** What a request carries through the handlers, and what they depend on. */
import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import type { Allowlist } from '../access/allowlist.ts'
import type { Mirror } from '../cache/mirror.ts'
import type { MirrorStatus } from '../cache/status.ts'
import type { Log } from '../log.ts'
import type { Metrics, Outcome, RequestKind } from '../metrics.ts'
import type { RoutingTable, Target } from '../routing/resolve.ts'
import type { RequestPath } from '../routing/request-path.ts'
import type { Buffers } from './buffers.ts'

/** Filled in on the way, written to the log and the metrics at the end. */
export interface RequestTrace {
  readonly id: string
  kind: RequestKind
  target: Target | undefined
  reference: string | undefined
  outcome: Outcome | undefined
  /** Body bytes sent. */
  bytes: number
  /** Why the request failed, for the operator. */
  failure: unknown
}

/** What the operator may change while requests are served. */
export interface Policy {
  readonly routing: RoutingTable
  readonly allowlist: Allowlist
}

export interface HttpDependencies {
  readonly mirror: Mirror & { status(): Promise<MirrorStatus> }
  readonly policy: () => Policy
  readonly buffers: Buffers
  readonly metrics: Metrics
  readonly log: Log
}

export interface HttpEnvironment {
  Bindings: HttpBindings
  Variables: { trace: RequestTrace }
}

export type HttpContext = Context<HttpEnvironment>

/** A request for content of a repository that is mirrored. */
export interface RepositoryRequest {
  readonly target: Target
  readonly path: RequestPath
  readonly isHead: boolean
}
