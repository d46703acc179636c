/**
 * Content digests, `<algorithm>:<hex>`.
 * https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests
 */
import { createHash, type Hash } from 'node:crypto'
import { OciError } from './error.ts'

/** A digest that has been parsed: safe in file names, SQL and URLs. */
export type Digest = string & { readonly __brand: 'Digest' }

const HEX_LENGTH = { sha256: 64, sha384: 96, sha512: 128 } as const

/** Digest algorithms that can be verified here; all are registered or reserved by the image specification. */
export type DigestAlgorithm = keyof typeof HEX_LENGTH

/** @throws {OciError} DIGEST_INVALID when the text is not a digest of a known algorithm in lower-case hex. */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) {
    throw new OciError(
      'DIGEST_INVALID',
      'A digest is sha256:, sha384: or sha512: followed by lower-case hexadecimal digits of the full length.',
      { detail: { digest: text.slice(0, 200) } },
    )
  }
  return text
}

export function isDigest(text: unknown): text is Digest {
  if (typeof text !== 'string') return false
  const colon = text.indexOf(':')
  const algorithm = text.slice(0, colon)
  if (!isAlgorithm(algorithm)) return false
  const hex = text.slice(colon + 1)
  return hex.length === HEX_LENGTH[algorithm] && /^[0-9a-f]+$/.test(hex)
}

export function digestAlgorithm(digest: Digest): DigestAlgorithm {
  return digest.slice(0, digest.indexOf(':')) as DigestAlgorithm
}

export function digestHex(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1)
}

/** A running hash whose `digest('hex')` is compared with `digestHex`. */
export function createDigestHash(algorithm: DigestAlgorithm): Hash {
  return createHash(algorithm)
}

export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}` as Digest
}

function isAlgorithm(text: string): text is DigestAlgorithm {
  return Object.hasOwn(HEX_LENGTH, text)
}
