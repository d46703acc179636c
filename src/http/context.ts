/** What a request carries through the handlers, and what they depend on. */
import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import type { Mirror } from '../cache/mirror.ts'
import type { MirrorStatus } from '../cache/status.ts'
import type { Caller, Control, Identity, Policy } from '../control/control.ts'
import type { LogLevelControl } from '../log-level.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Reference } from '../oci/reference.ts'
import type { Target } from '../routing/resolve.ts'
import type { Sendfile } from '../sendfile.ts'
import type { Tracing } from '../tracing.ts'
import type { RequestPath } from '../routing/request-path.ts'
import type { RequestObserver, RequestTrace, ServerTiming } from './request-trace.ts'
import type { Buffers } from './buffers.ts'
import type { Forwarding } from './forwarded.ts'
import type { ShortPath } from './short-path.ts'

export interface HttpDependencies {
  readonly mirror: Mirror & { status(): Promise<MirrorStatus> }
  readonly control: Control
  /** Base URL that clients know this mirror by; `undefined`: taken from each request. */
  readonly publicUrl: () => string | undefined
  /** Whether X-Forwarded-* headers of this peer are believed; `undefined`: it came by a socket file. */
  readonly isTrustedProxy: (address: string | undefined) => boolean
  readonly buffers: Buffers
  /** Absent where each byte has to be read. */
  readonly sendfile?: Sendfile | undefined
  /** `undefined`: every request goes the long way. */
  readonly shortPath: ShortPath | undefined
  /** Told of each request when its answer has ended. */
  readonly observe: RequestObserver
  /** `undefined`: nothing is traced. */
  readonly tracing?: Tracing | undefined
  readonly metrics: Metrics
  readonly log: Log
  readonly logLevels: LogLevelControl
}

export interface HttpEnvironment {
  Bindings: HttpBindings
  Variables: {
    trace: RequestTrace
    /** Of requests that ask for it. */
    timing?: ServerTiming
    forwarding: Forwarding
    /** Of routes that require an action; see `callerOf` for the others. */
    caller: Caller
    identity: Identity
  }
}

export type HttpContext = Context<HttpEnvironment>

/** A request for content of a repository that is mirrored. */
export interface RepositoryRequest {
  readonly target: Target
  readonly path: RequestPath
  /** `undefined` where the repository as a whole is asked about. */
  readonly reference: Reference | undefined
  /** All of the request is judged by what counted when it came. */
  readonly policy: Policy
  /** The caller was looked up by the same policy. */
  readonly isOfOneMoment: boolean
  readonly isHead: boolean
}

/** A request for something in it. */
export interface ReferenceRequest extends RepositoryRequest {
  readonly reference: Reference
}

export interface DigestRequest extends RepositoryRequest {
  readonly reference: Extract<Reference, { kind: 'digest' }>
}
