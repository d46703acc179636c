/** What the tests of the protocol read in an answer. */
import type { ClientResponse } from '../support/client.ts'

/** Differ with every answer or connection. */
const OF_THE_MOMENT = new Set(['date', 'connection', 'keep-alive', 'x-request-id'])
/** On every answer of the mirror. */
const OF_EVERY_ANSWER: Readonly<Record<string, string>> = {
  'docker-distribution-api-version': 'registry/2.0',
  'x-content-type-options': 'nosniff',
}

/**
 * The headers that say something of the content.
 * @throws when one is missing that no answer may lack
 */
export function contentHeaders({
  headers,
}: Pick<ClientResponse, 'headers'>): Record<string, string> {
  for (const [name, value] of Object.entries(OF_EVERY_ANSWER)) {
    if (headers[name] !== value) throw new Error(`The answer has ${name}: ${headers[name]}`)
  }
  if (headers['x-request-id'] === undefined) throw new Error('The answer has no X-Request-Id')
  const names = Object.keys(headers).filter(
    (name) => !OF_THE_MOMENT.has(name) && OF_EVERY_ANSWER[name] === undefined,
  )
  return Object.fromEntries(names.map((name) => [name, headers[name] ?? '']))
}

/** `404 MANIFEST_UNKNOWN`, or the status alone where the body is no error. */
export function verdict({ status, body }: Pick<ClientResponse, 'status' | 'body'>): string {
  const code = errorCode(body.toString())
  return code === undefined ? String(status) : `${status} ${code}`
}

/** The code in `{"errors":[{"code":…,"message":…}]}`; `undefined` for anything else. */
export function errorCode(text: string): string | undefined {
  try {
    const { errors } = JSON.parse(text) as { errors?: { code?: string; message?: string }[] }
    const [error] = errors ?? []
    return errors?.length === 1 && error?.message ? error.code : undefined
  } catch {
    return undefined
  }
}
