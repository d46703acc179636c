/** What of the metrics says whether the mirror pays. */
import type { MetricsSnapshot } from './metrics.ts'

/** Since the start. */
export interface Traffic {
  /** Body bytes of mirrored content that were sent to clients. */
  readonly clientBytes: number
  /** Body bytes that upstreams have sent. */
  readonly upstreamBytes: number
  /** The former less the latter: negative where more was fetched than asked for. */
  readonly savedBytes: number
  /** Manifests and blobs that clients were given. */
  readonly answers: number
  /** Those of them for which upstream did not have to send the content. */
  readonly hits: number
  /** From 0 to 1; `undefined` before the first answer. */
  readonly hitRatio: number | undefined
}

const CONTENT: ReadonlySet<unknown> = new Set(['manifest', 'blob'])
const GIVEN: ReadonlySet<unknown> = new Set(['2xx', '3xx'])
const HITS: ReadonlySet<unknown> = new Set(['hit', 'joined', 'revalidated', 'stale'])

export function trafficOf(snapshot: MetricsSnapshot): Traffic {
  const values = (name: string): MetricsSnapshot[number]['values'] =>
    snapshot.find((metric) => metric.name === name)?.values ?? []
  const given = values('entrepot_requests_total').filter(
    ({ labels }) => CONTENT.has(labels['kind']) && GIVEN.has(labels['status']),
  )
  // What belongs to no upstream is of the mirror itself.
  const mirrored = ({ labels }: { labels: Partial<Record<string, unknown>> }): boolean =>
    labels['upstream'] !== ''
  const clientBytes = sum(values('entrepot_client_bytes_total').filter(mirrored))
  const upstreamBytes = sum(values('entrepot_upstream_bytes_total'))
  const answers = sum(given)
  const hits = sum(given.filter(({ labels }) => HITS.has(labels['outcome'])))
  const hitRatio = answers === 0 ? undefined : hits / answers
  return {
    clientBytes,
    upstreamBytes,
    savedBytes: clientBytes - upstreamBytes,
    answers,
    hits,
    hitRatio,
  }
}

function sum(values: readonly { readonly value: number }[]): number {
  return values.reduce((total, { value }) => total + value, 0)
}
