/** What is told of one request to an upstream. */
import { describe, expect, it } from 'vitest'
import { createLog } from '../../src/log.ts'
import type { Span, SpanAttributes, Tracing } from '../../src/tracing.ts'
import { recordHop } from '../../src/upstream/hop-record.ts'
import { UpstreamError } from '../../src/upstream/upstream.ts'

const URL_WITH_SECRETS = new URL('https://cdn.example/layer?X-Signature=s1gnature')

function hop(url: URL = URL_WITH_SECRETS) {
  return { method: 'GET', url, headers: { range: 'bytes=5-' } }
}

/** Keeps what is said of the one span that is begun. */
function fakeTracing() {
  const told: { attributes: SpanAttributes; ends: (string | undefined)[] } = {
    attributes: {},
    ends: [],
  }
  const set = (attributes: SpanAttributes): void =>
    void (told.attributes = { ...told.attributes, ...attributes })
  const span: Partial<Span> = { set, end: (failure) => void told.ends.push(failure) }
  const tracing: Partial<Tracing> = {
    start(_name, { attributes }) {
      set(attributes)
      return span as Span
    },
  }
  return { tracing: tracing as Tracing, told }
}

function logAt(level: string) {
  const lines: Record<string, unknown>[] = []
  const write = (line: string): void => void lines.push(JSON.parse(line) as Record<string, unknown>)
  return { log: createLog({ write }, level), lines }
}

describe('a request to an upstream', () => {
  it('is nothing to anybody unless somebody wants to know', () => {
    expect(recordHop('quay.io', hop(), {})).toBeUndefined()
    expect(recordHop('quay.io', hop(), { log: logAt('info').log })).toBeUndefined()
  })

  it.each([
    ['https://cdn.example/layer', 443],
    ['http://cdn.example/layer', 80],
    ['https://cdn.example:8443/layer', 8443],
  ])('is a span with the port of %s', (url, port) => {
    const { tracing, told } = fakeTracing()
    const record = recordHop('quay.io', hop(new URL(`${url}?X-Signature=s1gnature`)), { tracing })
    record?.answered(206)
    record?.ended()
    expect(told.attributes).toEqual({
      'http.request.method': 'GET',
      'server.address': 'cdn.example',
      'server.port': port,
      'url.full': url,
      'entrepot.upstream': 'quay.io',
      'http.response.status_code': 206,
      'entrepot.first_byte_ms': expect.any(Number) as number,
    })
    expect(told.ends).toEqual([undefined])
  })

  it.each([
    [new UpstreamError('unavailable', 'It is down.'), 'unavailable', 'It is down.'],
    [new Error('aborted'), 'aborted', 'nobody waits for it any more'],
  ])('that fails with %s says why', (error, type, reason) => {
    const { tracing, told } = fakeTracing()
    const { log, lines } = logAt('debug')
    recordHop('quay.io', hop(), { tracing, log })?.failed(error)
    expect(told.ends).toEqual([type])
    expect(lines).toMatchObject([
      {
        level: 'debug',
        upstream: 'quay.io',
        method: 'GET',
        url: 'https://cdn.example/layer?…',
        range: 'bytes=5-',
        reason,
      },
    ])
  })

  it('is a line of the log alone where nothing is traced', () => {
    const { log, lines } = logAt('debug')
    const record = recordHop('quay.io', hop(), { log })
    record?.answered(200)
    record?.ended()
    expect(lines).toMatchObject([{ status: 200 }])
  })
})
