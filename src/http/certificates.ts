/** Which certificate a client is shown: the one for the name that it asked for (SNI), else the first. */
import { X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContext, type TlsOptions } from 'node:tls'

export interface Certificate {
  /** PEM, leaf first. */
  readonly certificate: string
  readonly key: string
}

export interface CertificateChooser {
  readonly tlsOptions: TlsOptions
  /** @throws when a certificate cannot be used; what was there before stays */
  use(certificates: readonly Certificate[]): void
}

export function createCertificateChooser(certificates: readonly Certificate[]): CertificateChooser {
  let contexts = compile(certificates)
  return {
    tlsOptions: {
      // Never throws: an exception in here would end the process (CVE-2026-21637).
      SNICallback: (name, done) => done(null, choose(contexts, name)),
      cert: certificates[0]?.certificate,
      key: certificates[0]?.key,
    },
    use(renewed) {
      contexts = compile(renewed)
    },
  }
}

interface Contexts {
  readonly byName: ReadonlyMap<string, SecureContext>
  readonly fallback: SecureContext | undefined
}

function compile(certificates: readonly Certificate[]): Contexts {
  const byName = new Map<string, SecureContext>()
  let fallback: SecureContext | undefined
  for (const { certificate, key } of certificates) {
    const context = createSecureContext({ cert: certificate, key })
    fallback ??= context
    for (const name of namesIn(certificate)) if (!byName.has(name)) byName.set(name, context)
  }
  return { byName, fallback }
}

/** `DNS:mirror.example, DNS:*.mirror.example, IP Address:…` */
function namesIn(certificate: string): string[] {
  const names = new X509Certificate(certificate).subjectAltName ?? ''
  return [...names.matchAll(/DNS:([^\s,]+)/g)].map(([, name = '']) => name.toLowerCase())
}

function choose({ byName, fallback }: Contexts, name: string): SecureContext | undefined {
  const lower = name.toLowerCase()
  return byName.get(lower) ?? byName.get(lower.replace(/^[^.]+/, '*')) ?? fallback
}
