/** What the header Authorization says, strictly read (RFC 9110 §11.6.2, RFC 7617, RFC 6750). Pure. */
import { parseApiToken } from './api-token.ts'

/** `unusable`: malformed, or of a scheme that is not ours. */
export type ShownCredential =
  | { readonly kind: 'none' }
  | { readonly kind: 'password'; readonly user: string; readonly password: string }
  | { readonly kind: 'api-token'; readonly id: string; readonly secret: string }
  | { readonly kind: 'bearer'; readonly token: string }
  | { readonly kind: 'unusable' }

const MAX_LENGTH = 4096
const UNUSABLE: ShownCredential = { kind: 'unusable' }
const NONE: ShownCredential = { kind: 'none' }

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** @param header as sent; it may hold anything */
export function readAuthorization(header: string | undefined): ShownCredential {
  if (header === undefined || header === '') return NONE
  if (header.length > MAX_LENGTH) return UNUSABLE
  const [, scheme = '', value = ''] = /^([A-Za-z]+) +([\w.~+/=-]+)$/.exec(header) ?? []
  switch (scheme.toLowerCase()) {
    case 'basic':
      return readBasic(value)
    case 'bearer':
      return readApiToken(value) ?? { kind: 'bearer', token: value }
    default:
      return UNUSABLE
  }
}

/** An API token is known by its look, whatever the user is called: clients want some name. */
function readBasic(encoded: string): ShownCredential {
  const text = decode(encoded)
  const colon = text?.indexOf(':') ?? -1
  if (text === undefined || colon === -1 || /\p{Cc}/u.test(text)) return UNUSABLE
  const password = text.slice(colon + 1)
  return readApiToken(password) ?? { kind: 'password', user: text.slice(0, colon), password }
}

function readApiToken(text: string): ShownCredential | undefined {
  const parts = parseApiToken(text)
  return parts && { kind: 'api-token', ...parts }
}

/** Node skips what is no base64, and ends at the first padding: only what encodes to the same again counts. */
function decode(encoded: string): string | undefined {
  const bytes = Buffer.from(encoded, 'base64')
  if (bytes.toString('base64') !== encoded) return undefined
  try {
    return UTF8.decode(bytes)
  } catch {
    return undefined
  }
}
