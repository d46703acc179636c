/**
 * Our bearer tokens: who it is, and nothing of what they may do. The one importer of the library.
 * Signed with a key of our own by one fixed algorithm: a header never says how it is to be verified
 * (CVE-2025-24976, security rule R21).
 */
import { createSecretKey } from 'node:crypto'
import { jwtVerify, SignJWT, type JWTVerifyResult } from 'jose'
import { LRUCache } from '../lru.ts'
import type { BearerToken } from './control.ts'

/** Whom a token names. Whether they still are what they were is for the reader to look up. */
export interface Subject {
  readonly kind: 'anonymous' | 'user' | 'robot'
  /** Name of a user, id of a robot; `anonymous`. */
  readonly name: string
  /** What has to be the same still. Readable by whoever has the token. */
  readonly version: string
}

export interface BearerTokens {
  issue(subject: Subject): Promise<BearerToken>
  /** @returns `undefined` when it is not one of ours, or has expired; it never throws */
  read(text: string): Promise<ReadToken | undefined>
}

interface BearerTokensOptions {
  /** At least 32 bytes. */
  readonly key: Buffer
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

interface ReadToken {
  readonly subject: Subject
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
}

const ALGORITHM = 'HS256'
const PARTY = 'entrepot'
/** Seconds. */
const LIFETIME = 300
const MAX_LENGTH = 4096
/** Verifying costs more than all else that a small request does. */
const MAX_REMEMBERED = 10_000

/** Three parts, and a last one of 32 bytes in their only spelling. */
const SIGNED = /^[\w-]+\.[\w-]+\.[\w-]{42}[AEIMQUYcgkosw048]$/

export function createBearerTokens({ key, now }: BearerTokensOptions): BearerTokens {
  const secret = createSecretKey(key)
  const verified = new LRUCache<string, ReadToken>({ max: MAX_REMEMBERED })

  async function verify(text: string): Promise<ReadToken | undefined> {
    try {
      const result = await jwtVerify(text, secret, {
        algorithms: [ALGORITHM],
        issuer: PARTY,
        audience: PARTY,
        typ: 'JWT',
        requiredClaims: ['exp', 'iat', 'sub', 'kind', 'ver'],
        currentDate: new Date(now()),
      })
      const known = readResult(result)
      if (known) verified.set(text, known)
      return known
    } catch {
      // Foreign tokens come here every day; why exactly one is refused helps nobody.
      return undefined
    }
  }

  return {
    async issue({ kind, name, version }) {
      const issuedAt = Math.floor(now() / 1000)
      const token = await new SignJWT({ kind, ver: version })
        .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT' })
        .setSubject(name)
        .setIssuer(PARTY)
        .setAudience(PARTY)
        .setIssuedAt(issuedAt)
        .setExpirationTime(issuedAt + LIFETIME)
        .sign(secret)
      return { token, expiresIn: LIFETIME, issuedAt: new Date(issuedAt * 1000) }
    },

    async read(text) {
      if (text.length > MAX_LENGTH || !SIGNED.test(text)) return undefined
      const known = verified.get(text) ?? (await verify(text))
      return known === undefined || now() >= known.expiresAt ? undefined : known
    },
  }
}

function readResult({ payload, protectedHeader }: JWTVerifyResult): ReadToken | undefined {
  const { sub, kind, ver, exp } = payload
  // Ours say no more; a key or the address of one (jwk, jku, x5c, kid) has no business there.
  if (Object.keys(protectedHeader).length !== 2) return undefined
  if (typeof sub !== 'string' || typeof ver !== 'string' || exp === undefined) return undefined
  if (kind !== 'anonymous' && kind !== 'user' && kind !== 'robot') return undefined
  return { subject: { kind, name: sub, version: ver }, expiresAt: exp * 1000 }
}
