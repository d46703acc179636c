/** What the main process and its workers ask of each other. */
import type { BlobAnswer } from '../cache/blobs.ts'
import type { Mirror } from '../cache/mirror.ts'
import type { MirrorStatus } from '../cache/status.ts'
import type { Identity } from '../control/control.ts'
import type { LogLevelState } from '../log-level.ts'
import type { LogLevel } from '../log.ts'
import type { MetricsPage, MetricsSnapshot } from '../metrics.ts'
import type { EncodedError } from './error-codec.ts'
import type { ListenerName } from './hand-over.ts'

/** The use-cases that are a question and an answer. */
export type PlainCalls = Pick<
  Mirror,
  | 'manifest'
  | 'blobHead'
  | 'blobProgress'
  | 'confirmTag'
  | 'upstreamState'
  | 'tags'
  | 'referrers'
  | 'tagsLeadingTo'
  | 'isOfAge'
  | 'describe'
  | 'repositories'
  | 'ready'
  | 'scrub'
  | 'idle'
> & { status(): Promise<MirrorStatus> }

/** A source that the main process keeps open until it is told, or the worker is gone. */
export interface LentSource {
  readonly id: number
  readonly size: number
  readonly outcome: BlobAnswer['outcome']
  /** Of the main process; `undefined`: every byte has to be read there. */
  readonly descriptor: number | undefined
  /** Everything is there and may be given out. */
  readonly isWhole: boolean
}

/** The number of a source, and a part of it. */
type Stretch = [source: number, position: number, length: number]

export interface MirrorCalls extends PlainCalls {
  blob(...args: Parameters<Mirror['blob']>): LentSource
  /** @returns at least 1 byte, none at the end */
  read(...stretch: Stretch): Uint8Array
  reach(...stretch: Stretch): number
  release(source: number): void
  ensureBlob(key: RepositoryKey, digest: Digest): 'present' | 'stored'
}

type RepositoryKey = Parameters<Mirror['blob']>[0]
type Digest = Parameters<Mirror['blob']>[1]

/** A connection that comes with a message to a worker. */
export interface HandedConnection {
  readonly connection: number
  readonly listener: ListenerName
}

/** With what a worker begins. */
interface Beginning {
  /** What it was told last; whoever made it knows what it is. */
  readonly configuration: unknown
  readonly tagsVersion: number
  readonly logLevel: LogLevel
  /** Of the main process. */
  readonly pid: number
}

/** Whether a login is right, as judged in one place for all processes. */
export type LoginVerdict = Pick<Identity, 'credential' | 'retryAfter'>

/** What the main process does for a worker. */
export interface MainCalls extends MirrorCalls {
  begin(): Beginning
  /** It can be given connections. */
  serving(): void
  taken(connection: number): void
  left(connection: number): void
  /** It cannot serve, and ends. */
  failed(error: EncodedError): void
  identify(authorization: string | undefined, address: string): LoginVerdict
  /** The page of all processes together. */
  metrics(): MetricsPage
  /** What all of them have counted. */
  totals(): MetricsSnapshot
  /** As in LogLevelControl. */
  logLevel(): LogLevelState
  setLogLevel(level: LogLevel, milliseconds: number | undefined): LogLevelState
  resetLogLevel(): LogLevelState
}

/** What a worker does for the main process. */
export interface WorkerCalls {
  configure(configuration: unknown): void
  tagsVersion(version: number): void
  logLevel(level: LogLevel): void
  snapshot(): MetricsSnapshot
  /** Resolves when everything that was noted is written. */
  idle(): void
  /** @param grace milliseconds for running answers */
  stop(grace: number): void
}
