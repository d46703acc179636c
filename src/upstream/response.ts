/** One response of one server, and its headers read with care. */
import type { Dispatcher } from 'undici'

/** The answer to a single request; redirects are not followed yet. */
export interface HopResponse {
  readonly status: number
  /** Where it was asked. */
  readonly url: URL
  readonly headers: Dispatcher.ResponseData['headers']
  /** Must be read, discarded or destroyed. */
  readonly body: Dispatcher.ResponseData['body']
}

/** A header's value; `undefined` when it is missing, or repeated with different values. */
export function header({ headers }: HopResponse, name: string): string | undefined {
  const value = headers[name]
  if (!Array.isArray(value)) return value
  return value.every((other) => other === value[0]) ? value[0] : undefined
}

/** Bytes that the body will have; `undefined` when upstream does not say. */
export function contentLength(response: HopResponse): number | undefined {
  const text = header(response, 'content-length')
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}
