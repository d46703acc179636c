/** What is asked of every answer and of everything that is left, whatever upstream does. */
import type { RawRegistry } from '../../fakes/raw-registry.ts'
import type { ClientResponse } from '../../support/client.ts'
import type { BadPlaces } from './bad-places.ts'

/** All marked, so that they are found wherever they should not be. */
export const USER = 'grid-user'
export const PASSWORD = 'marked-password-7d3f'
export const TOKEN = 'marked-token-7d3f-'

const SECRETS = [
  PASSWORD,
  TOKEN,
  Buffer.from(`${USER}:${PASSWORD}`).toString('base64'),
  encodeURIComponent(Buffer.from(`${USER}:${PASSWORD}`).toString('base64')),
]
/** An error in the words of the protocol is short. */
const MAX_ERROR_BYTES = 2000

export interface Question {
  readonly what: string
  readonly method: 'GET' | 'HEAD'
  /** The one body that a complete answer may have. */
  readonly truth: Uint8Array
  readonly mediaType?: string
}

/** @returns what is wrong with the answer, in words; nothing when all is well */
export function faultsOf(question: Question, answer: ClientResponse): string[] {
  const { what, method, truth } = question
  const { status, headers, body, complete } = answer
  const faults: string[] = []
  const secret = secretIn(JSON.stringify(headers), body.toString('latin1'))
  if (secret !== undefined) faults.push(`has ${secret} in it`)
  if (status === 200) {
    if (method === 'GET' && complete && !body.equals(truth)) faults.push('is complete and wrong')
    if (!complete && body.length >= truth.length) faults.push('is too long')
    const { mediaType } = question
    if (method === 'GET' && mediaType !== undefined && headers['content-type'] !== mediaType) {
      faults.push(`has the media type ${headers['content-type']}`)
    }
  } else if (![404, 429, 502, 503].includes(status)) {
    faults.push(`has the status ${status}`)
  } else if (!complete || body.length > MAX_ERROR_BYTES) {
    faults.push(`is an error of ${body.length} bytes`)
  } else if (method === 'GET' && !isOciError(body)) {
    faults.push('is no error of the protocol')
  }
  return faults.map((fault) => `${what}: ${fault}`)
}

function isOciError(body: Buffer): boolean {
  try {
    const { errors } = JSON.parse(body.toString()) as { errors?: { code?: unknown }[] }
    return typeof errors?.[0]?.code === 'string'
  } catch {
    return false
  }
}

/** The first secret that occurs in one of the texts. */
export function secretIn(...texts: readonly string[]): string | undefined {
  return SECRETS.find((secret) => texts.some((text) => text.includes(secret)))
}

/** Credentials that went where they do not belong, in words. */
export function strayCredentials(registry: RawRegistry, places: BadPlaces): string[] {
  const faults: string[] = []
  const { asked } = registry
  if (asked.registry.some((head) => /^authorization: (?!Bearer )/im.test(head))) {
    faults.push('the registry was shown something else than a token')
  }
  if (asked.tokens.some((head) => /^authorization: (?!Basic )/im.test(head))) {
    faults.push('the token server was shown a token')
  }
  // A credential belongs into one header, and never into the URL or another.
  const rest = [...asked.registry, ...asked.tokens].map((head) =>
    head.replace(/^authorization: .*$/gim, ''),
  )
  if (secretIn(...rest) !== undefined) faults.push('a credential was outside of Authorization')
  for (const [name, text] of Object.entries(places.forbidden())) {
    if (text !== '') faults.push(`the server "${name}" was sent ${text.slice(0, 200)}`)
  }
  const stranger = places.stranger()
  if (/^authorization:/im.test(stranger) || secretIn(stranger) !== undefined) {
    faults.push('another host was shown a credential')
  }
  return faults
}
