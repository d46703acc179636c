/** Keys of robots: `entp_<id>_<secret>`. The id finds it, the secret is kept as a hash only. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

export interface NewApiToken {
  readonly id: string
  /** The whole of it, to be told once. */
  readonly token: string
  /** SHA-256 of the secret, as hex: it has too many bits to be guessed, so nothing slower is needed. */
  readonly secretHash: string
}

export interface ApiTokenParts {
  readonly id: string
  readonly secret: string
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyz234567'
const ID_LENGTH = 12
/** Of five bits each: 160 bits. */
const SECRET_LENGTH = 32

const API_TOKEN = /^entp_([a-z2-7]{12})_([a-z2-7]{32})$/

export function createApiToken(): NewApiToken {
  const [id, secret] = [randomLetters(ID_LENGTH), randomLetters(SECRET_LENGTH)]
  return { id, token: `entp_${id}_${secret}`, secretHash: sha256(secret).toString('hex') }
}

/** @returns `undefined` when it does not look like one */
export function parseApiToken(text: string): ApiTokenParts | undefined {
  const [, id, secret] = API_TOKEN.exec(text) ?? []
  return id === undefined || secret === undefined ? undefined : { id, secret }
}

/** @param secretHash as it was created with */
export function matchesSecret(secretHash: string, secret: string): boolean {
  const [kept, shown] = [Buffer.from(secretHash, 'hex'), sha256(secret)]
  return kept.length === shown.length && timingSafeEqual(kept, shown)
}

/** There are 32 letters, so five bits of each byte choose one as likely as another. */
function randomLetters(length: number): string {
  return Array.from(randomBytes(length), (byte) => LETTERS.charAt(byte % LETTERS.length)).join('')
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
