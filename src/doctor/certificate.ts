/** What is to be said of a certificate: whom it is for, who vouches for it, how long it holds. */
import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { failed, ok, warning, type Verdict } from './finding.ts'
import type { MirrorPlace, TlsConnection } from './mirror-client.ts'

const DAY = 24 * 60 * 60 * 1000
/** Milliseconds before its end from which on a certificate is spoken of. */
const SOON = 14 * DAY
const MAX_CHAIN = 10

export interface CertificateFacts {
  readonly subject: string
  readonly issuer: string
  /** Milliseconds since the epoch. */
  readonly notBefore: number
  readonly notAfter: number
}

/** One that is trusted here. @param now milliseconds since the epoch */
export function chainVerdict(shown: TlsConnection, place: MirrorPlace, now: number): Verdict {
  const chain = shownChain(shown)
  const [leaf] = chain
  const trouble = validityTrouble(chain, now)
  if (trouble !== undefined) return trouble
  const until = leaf === undefined ? '' : ` until ${dayText(leaf.notAfter)}`
  return ok(`the certificate ${trustText(place)}, and holds${until}`)
}

function trustText({ fingerprints, ca }: MirrorPlace): string {
  if (fingerprints !== undefined) return 'is one of those in the configuration'
  return ca === undefined ? 'is trusted here' : 'is trusted with this CA'
}

/** One that is not, with the reason that can be mended first. */
export function untrustedVerdict(shown: TlsConnection, place: MirrorPlace, now: number): Verdict {
  const chain = shownChain(shown)
  const dated = validityTrouble(chain, now)
  if (dated?.state === 'failed') return dated
  if (place.fingerprints !== undefined) {
    return failed(
      'the certificate is not one of those in the configuration',
      'Something else listens there, or the mirror still has an older one: see when it last read its certificates in its log.',
    )
  }
  const { host = '' } = place
  const reason = String(shown.socket.authorizationError)
  if (reason === 'ERR_TLS_CERT_ALTNAME_INVALID') return wrongName(host, shown.certificate)
  return unknownAuthority(place, chain.at(-1), reason)
}

/** `undefined` where they all hold, and for a while. */
export function validityTrouble(
  chain: readonly CertificateFacts[],
  now: number,
): Verdict | undefined {
  const ended = chain.find(({ notAfter }) => notAfter <= now)
  if (ended !== undefined) {
    return failed(
      `the certificate of ${ended.subject} has ended on ${dayText(ended.notAfter)}`,
      'Renew it: the mirror reads certificate and key again when the files change.',
    )
  }
  const early = chain.find(({ notBefore }) => notBefore > now)
  if (early !== undefined) {
    return failed(
      `the certificate of ${early.subject} holds only from ${new Date(early.notBefore).toISOString()}`,
      'Set the clock of this host, or wait.',
    )
  }
  const soon = chain.find(({ notAfter }) => notAfter <= now + SOON)
  if (soon === undefined) return undefined
  return warning(
    `the certificate of ${soon.subject} ends on ${dayText(soon.notAfter)}`,
    'Renew it before: the mirror reads certificate and key again when the files change.',
  )
}

/** Of PEM, leaf first. */
export function factsOf(pem: string): CertificateFacts[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs) ?? []
  return blocks.map((block) => factsOfOne(new X509Certificate(block)))
}

function factsOfOne({ subject, issuer, validFrom, validTo }: X509Certificate): CertificateFacts {
  return {
    subject: commonName(subject),
    issuer: commonName(issuer),
    notBefore: Date.parse(validFrom),
    notAfter: Date.parse(validTo),
  }
}

/** Without an authority that vouches for itself: that is not the mirror's to renew. */
function shownChain({ certificate }: TlsConnection): CertificateFacts[] {
  const chain: CertificateFacts[] = []
  let shown = certificate
  while (shown !== undefined && chain.length < MAX_CHAIN) {
    const isRoot = shown.issuer === shown.subject
    if (!isRoot || chain.length === 0) chain.push(factsOfOne(shown))
    shown = isRoot ? undefined : shown.issuerCertificate
  }
  return chain
}

function wrongName(host: string, shown: X509Certificate | undefined): Verdict {
  const names = shown?.subjectAltName ?? 'no name at all'
  const kind = isIP(host) === 0 ? 'name' : 'address'
  return failed(
    `the certificate is not for the ${kind} ${host}, but for ${names}`,
    `Use one of those, or have a certificate made that has ${host} among its names (subjectAltName).`,
  )
}

function unknownAuthority(
  { host = '', port, ca }: MirrorPlace,
  last: CertificateFacts | undefined,
  reason: string,
): Verdict {
  const found = `the certificate is signed by ${last?.issuer ?? 'nobody'}, which is not trusted here (${reason})`
  if (ca !== undefined) {
    return failed(
      found,
      'The file of --ca does not hold that authority, or the mirror does not send the certificates between ("tls": leaf first, then the others).',
    )
  }
  const place = port === 443 ? host : `${host}:${port}`
  return failed(
    found,
    [
      'If that authority is your own, say its file with --ca, and give it to the clients:',
      `docker /etc/docker/certs.d/${place}/ca.crt,`,
      `podman, CRI-O and skopeo /etc/containers/certs.d/${place}/ca.crt,`,
      'containerd "ca" in hosts.toml, all others the system\'s own store;',
      '"entrepot client-config NAME --ca FILE" writes it for each.',
    ].join(' '),
  )
}

function commonName(subject: string): string {
  return /^CN=(.*)$/m.exec(subject)?.[1] ?? subject.replaceAll('\n', ', ')
}

function dayText(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, 10)
}
