/** A collector of OpenTelemetry traces, by OTLP over HTTP in JSON. */
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface CollectedSpan {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  /** Empty: it is part of nothing. */
  readonly parentSpanId: string
  /** 1 internal, 2 server, 3 client */
  readonly kind: number
  readonly attributes: Readonly<Record<string, unknown>>
  /** Ids of other spans. */
  readonly links: readonly string[]
  /** 2: it failed. */
  readonly statusCode: number
  /** Of the process that sent it. */
  readonly resource: Readonly<Record<string, unknown>>
}

export interface FakeCollector extends AsyncDisposable {
  readonly url: string
  /** In the order in which they came. */
  readonly spans: readonly CollectedSpan[]
  /** All that came, as it came. */
  readonly text: string
  /** The header lines of each request. */
  readonly headers: readonly IncomingMessage['headers'][]
}

interface Attribute {
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}

interface Message {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] }
    readonly scopeSpans: readonly { readonly spans: readonly SentSpan[] }[]
  }[]
}

interface SentSpan extends Omit<CollectedSpan, 'attributes' | 'links' | 'statusCode' | 'resource'> {
  readonly attributes: readonly Attribute[]
  readonly links?: readonly { readonly spanId: string }[]
  readonly status?: { readonly code?: number }
}

/** @param status with which it answers */
export async function startCollector(status = 200): Promise<FakeCollector> {
  const spans: CollectedSpan[] = []
  const headers: IncomingMessage['headers'][] = []
  let text = ''
  const server = createServer((incoming, outgoing) => {
    let body = ''
    incoming.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
    incoming.once('end', () => {
      headers.push(incoming.headers)
      text += body
      if (incoming.url === '/v1/traces' && status === 200) spans.push(...spansIn(body))
      outgoing.writeHead(incoming.url === '/v1/traces' ? status : 404).end('{}')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    spans,
    headers,
    get text() {
      return text
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function spansIn(body: string): CollectedSpan[] {
  const { resourceSpans } = JSON.parse(body) as Message
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans
      .flatMap(({ spans }) => spans)
      .map((span) => ({
        ...span,
        parentSpanId: span.parentSpanId ?? '',
        attributes: valuesOf(span.attributes),
        links: (span.links ?? []).map(({ spanId }) => spanId),
        statusCode: span.status?.code ?? 0,
        resource: valuesOf(resource.attributes),
      })),
  )
}

function valuesOf(attributes: readonly Attribute[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))
}
