/**
 * Traces for OpenTelemetry, configured by its standard variables. Where these ask for none there is no
 * tracing at all, `undefined`: one branch for each request, and no library is loaded.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { Context, Link, Span as OtelSpan, SpanContext, SpanKind } from '@opentelemetry/api'
import type { SpanExporter } from '@opentelemetry/sdk-trace-base'
import type { Log } from './log.ts'

/** By the names of OpenTelemetry's semantic conventions, or `entrepot.…`; never a secret. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | undefined>>

/** Something that begins and ends. */
export interface Span {
  /** In the words of W3C Trace Context. */
  readonly traceparent: string
  /** What begins within `work`, and whatever that waits for, is a part of it. */
  run<T>(work: () => T): T
  set(attributes: SpanAttributes): void
  /** What it is called from now on. */
  rename(name: string): void
  /**
   * The first call counts.
   * @param failure the type of what went wrong: a short word of a closed set
   */
  end(failure?: string): void
}

interface SpanOptions {
  /** `client`: a request to somebody else. */
  readonly kind?: 'client' | 'internal'
  readonly attributes: SpanAttributes
  /** What it has to do with, without being a part of it. */
  readonly link?: string | undefined
  /** It is part of nothing that runs now. */
  readonly isRoot?: boolean
}

export interface Tracing {
  /** Of a client, who may be tracing as well, and say so in the headers. */
  startRequest(name: string, headers: IncomingHttpHeaders): Span
  start(name: string, options: SpanOptions): Span
  /** What runs now, for another process; `undefined`: nothing. */
  current(): string | undefined
  /** Goes on with what has come from another process. */
  resume<T>(traceparent: string | undefined, work: () => T): T
  /** Sends what has ended, within a deadline. */
  close(): Promise<void>
}

interface TracingOptions {
  readonly log: Log
  /** Milliseconds for what is left to be sent when the process ends. */
  readonly closeWithin?: number
}

/** Within `STOP_DEADLINE` of workers. */
const CLOSE_DEADLINE = 3000
/** Milliseconds that an export may take with its repetitions, which keep the process from ending. */
const EXPORT_LIMIT = 3000
/** Milliseconds between two lines about a collector that does not take traces. */
const COMPLAINT_INTERVAL = 5 * 60_000
const MAX_TRACE_STATE_LENGTH = 512

/**
 * @param env decides whether there is tracing; how is read by the libraries, from the process
 * @returns `undefined`: none
 */
export async function openTracing(
  env: NodeJS.ProcessEnv,
  { log, closeWithin = CLOSE_DEADLINE }: TracingOptions,
): Promise<Tracing | undefined> {
  const { isWanted, complaint } = readVariables(env)
  if (complaint !== undefined) log.warn({ reason: complaint }, 'traces are not as configured')
  return isWanted ? createTracing(env, { log, closeWithin }) : undefined
}

async function createTracing(
  env: NodeJS.ProcessEnv,
  { log, closeWithin }: Required<TracingOptions>,
): Promise<Tracing> {
  const api = await import('@opentelemetry/api')
  const provider = await createProvider(env, log)
  const { ROOT_CONTEXT, trace } = api
  const tracer = provider.getTracer('entrepot')
  const running = new AsyncLocalStorage<Context>()
  const here = (): Context => running.getStore() ?? ROOT_CONTEXT

  function spanOf(span: OtelSpan, parent: Context): Span {
    const context = trace.setSpan(parent, span)
    let isEnded = false
    return {
      traceparent: traceparentOf(span.spanContext()),
      run: (work) => running.run(context, work),
      set: (attributes) => void span.setAttributes(attributes),
      rename: (name) => void span.updateName(name),
      end(failure) {
        if (isEnded) return
        isEnded = true
        if (failure !== undefined) {
          span.setAttribute('error.type', failure)
          span.setStatus({ code: api.SpanStatusCode.ERROR })
        }
        span.end()
      },
    }
  }

  function contextOf(traceparent: string | undefined, traceState?: string): Context | undefined {
    const remote = readTraceparent(traceparent)
    if (remote === undefined) return undefined
    const isShort = traceState !== undefined && traceState.length <= MAX_TRACE_STATE_LENGTH
    const state = isShort ? { traceState: api.createTraceState(traceState) } : {}
    return trace.setSpanContext(ROOT_CONTEXT, { ...remote, ...state })
  }

  function linksTo(traceparent: string | undefined): Link[] {
    const context = readTraceparent(traceparent)
    return context === undefined ? [] : [{ context }]
  }

  return {
    startRequest(name, { traceparent, tracestate }) {
      // A header that came twice is joined by commas in the one, and is a list in the types of the other.
      const parent = contextOf(textOf(traceparent), textOf(tracestate)) ?? ROOT_CONTEXT
      return spanOf(tracer.startSpan(name, { kind: api.SpanKind.SERVER }, parent), parent)
    },
    start(name, { kind = 'internal', attributes, link, isRoot = false }) {
      const parent = isRoot ? ROOT_CONTEXT : here()
      const kinds: Record<typeof kind, SpanKind> = {
        client: api.SpanKind.CLIENT,
        internal: api.SpanKind.INTERNAL,
      }
      const options = { kind: kinds[kind], attributes: { ...attributes }, links: linksTo(link) }
      return spanOf(tracer.startSpan(name, options, parent), parent)
    },
    current() {
      const context = trace.getSpanContext(here())
      return context && traceparentOf(context)
    },
    resume: (traceparent, work) => running.run(contextOf(traceparent) ?? ROOT_CONTEXT, work),
    async close() {
      const late = new AbortController()
      const limit = delay(closeWithin, undefined, { signal: late.signal }).catch(() => undefined)
      // What could not be sent was complained about when it was tried.
      await Promise.race([provider.shutdown().catch(() => undefined), limit])
      late.abort()
    },
  }
}

async function createProvider(env: NodeJS.ProcessEnv, log: Log) {
  const [sdk, otlp, resources] = await Promise.all([
    import('@opentelemetry/sdk-trace-base'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
  ])
  const own = { 'service.name': 'entrepot', 'service.instance.id': randomUUID() }
  const resource = resources
    .defaultResource()
    .merge(resources.resourceFromAttributes({ ...own, 'process.pid': process.pid }))
    .merge(resources.detectResources({ detectors: [resources.envDetector] }))
  const isLimited = first(env, TIMEOUTS) !== undefined
  const otlpExporter = new otlp.OTLPTraceExporter(isLimited ? {} : { timeoutMillis: EXPORT_LIMIT })
  const exporter = complaining(otlpExporter, collectorOf(env), log)
  return new sdk.BasicTracerProvider({
    resource,
    spanProcessors: [new sdk.BatchSpanProcessor(exporter)],
  })
}

/** Says that traces are not taken, and not again and again: nobody's request depends on it. */
function complaining(exporter: SpanExporter, collector: string, log: Log): SpanExporter {
  let quietUntil = -Infinity
  function complain(error: Error): void {
    if (performance.now() < quietUntil) return
    quietUntil = performance.now() + COMPLAINT_INTERVAL
    log.warn({ collector, reason: error.message }, 'traces are not taken by the collector')
  }
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        if (result.error !== undefined) complain(result.error)
        done(result)
      })
    },
    forceFlush: async () => exporter.forceFlush?.(),
    shutdown: () => exporter.shutdown(),
  }
}

const ENDPOINTS = ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT'] as const
const PROTOCOLS = ['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', 'OTEL_EXPORTER_OTLP_PROTOCOL'] as const
const TIMEOUTS = ['OTEL_EXPORTER_OTLP_TRACES_TIMEOUT', 'OTEL_EXPORTER_OTLP_TIMEOUT'] as const
const SAMPLERS = new Set([
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
])

interface Wish {
  readonly isWanted: boolean
  /** What the variables ask for and do not get. */
  readonly complaint?: string
}

/** Off unless a collector is named, or the exporter is: it then sends to port 4318 of this host. */
function readVariables(env: NodeJS.ProcessEnv): Wish {
  if (env['OTEL_SDK_DISABLED']?.toLowerCase() === 'true') return { isWanted: false }
  const exporter = env['OTEL_TRACES_EXPORTER'] || undefined
  const endpoint = first(env, ENDPOINTS)
  if (exporter === 'none') return { isWanted: false }
  if (exporter === undefined && endpoint === undefined) return { isWanted: false }
  if (exporter !== undefined && exporter !== 'otlp') {
    return off('OTEL_TRACES_EXPORTER may be otlp or none: nothing is traced')
  }
  if (endpoint !== undefined && !/^https?:\/\/[^/]/.test(endpoint)) {
    return off('the OTLP endpoint is no URL with http or https: nothing is traced')
  }
  const protocol = first(env, PROTOCOLS)
  if (protocol === 'grpc') {
    return off(
      'only http/json is spoken, not grpc: nothing is traced; write http/json and port 4318',
    )
  }
  const complaint = complaintAbout(protocol, env['OTEL_TRACES_SAMPLER'] || undefined)
  return { isWanted: true, ...(complaint !== undefined && { complaint }) }
}

function complaintAbout(
  protocol: string | undefined,
  sampler: string | undefined,
): string | undefined {
  if (protocol !== undefined && protocol !== 'http/json') {
    return 'only http/json is spoken: traces are sent as that'
  }
  return sampler === undefined || SAMPLERS.has(sampler)
    ? undefined
    : 'OTEL_TRACES_SAMPLER names no sampler that there is: parentbased_always_on is used'
}

const off = (complaint: string): Wish => ({ isWanted: false, complaint })

/** Scheme, host and port: user information, path and query may hold a secret. */
function collectorOf(env: NodeJS.ProcessEnv): string {
  const endpoint = first(env, ENDPOINTS) ?? 'http://localhost:4318'
  return URL.canParse(endpoint) ? new URL(endpoint).origin : 'unknown'
}

/** An empty variable is as none. */
function first(env: NodeJS.ProcessEnv, names: readonly string[]): string | undefined {
  return names.map((name) => env[name]).find((value) => value !== undefined && value !== '')
}

function textOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(',') : header
}

/** https://www.w3.org/TR/trace-context/#traceparent-header */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/

function readTraceparent(text: string | undefined): SpanContext | undefined {
  if (text === undefined || text.length > MAX_TRACE_STATE_LENGTH) return undefined
  const [, version, traceId = '', spanId = '', flags = '', rest] = TRACEPARENT.exec(text) ?? []
  const isKnown = version === '00' ? rest === undefined : version !== undefined && version !== 'ff'
  // Ids of zeros are none to the library.
  if (!isKnown) return undefined
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true }
}

function traceparentOf({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-0${traceFlags & 1}`
}
