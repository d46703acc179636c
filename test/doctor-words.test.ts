/** What the doctor's parts say of what a server seldom sends. */
import { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { chainVerdict, factsOf, untrustedVerdict } from '../src/doctor/certificate.ts'
import { createMirrorClient } from '../src/doctor/mirror-client.ts'
import { choosePlatform, ownPlatform, partsOf } from '../src/doctor/pulled-image.ts'
import { refusedVerdict } from '../src/doctor/refused-pull.ts'
import { answering } from './cli/answering-server.ts'
import { placeOf } from './doctor-findings.ts'
import { createCertificateAuthority } from './fakes/certificates.ts'

const SIGNAL = new AbortController().signal

describe('a certificate', () => {
  const place = placeOf('https://mirror.example')
  const unknown = { authorizationError: 'SELF_SIGNED_CERT_IN_CHAIN' } as unknown as TLSSocket

  it('may not be shown at all', () => {
    const shown = { socket: unknown, certificate: undefined }
    expect(untrustedVerdict(shown, place, 0).found).toContain('signed by nobody')
    expect(chainVerdict(shown, place, 0).found).toBe('the certificate is trusted here, and holds')
    const named = {
      ...shown,
      socket: { authorizationError: 'ERR_TLS_CERT_ALTNAME_INVALID' } as unknown as TLSSocket,
    }
    expect(untrustedVerdict(named, place, 0).found).toBe(
      'the certificate is not for the name mirror.example, but for no name at all',
    )
  })

  it('of an authority is its own, and the usual port is not in the name of a folder', async () => {
    await using authority = await createCertificateAuthority()
    const shown = { socket: unknown, certificate: new X509Certificate(authority.ca) }
    const verdict = untrustedVerdict(shown, place, Date.now())
    expect(verdict.found).toContain('signed by fake authority')
    expect(verdict.advice).toContain('/etc/docker/certs.d/mirror.example/ca.crt')
    expect(factsOf(authority.ca)).toMatchObject([{ subject: 'fake authority' }])
  })
})

describe('requests to a mirror', () => {
  it('are not made to one that is not trusted', async () => {
    await using authority = await createCertificateAuthority()
    const { certificate: cert, key } = await authority.issue()
    const { url, sent } = await answering({}, { tls: { cert, key } })
    const client = createMirrorClient(placeOf(url), async () => [])
    await expect(client.ask({ path: '/' }, SIGNAL)).rejects.toThrow(/^the certificate of .* is not/)
    expect(sent).toEqual([])
  })

  it('end where the answer does not', async () => {
    const { url } = await answering({ body: 'too long' })
    const client = createMirrorClient(placeOf(url), async () => [])
    await expect(client.ask({ path: '/' }, SIGNAL, 7)).rejects.toThrow('longer than 7 bytes')
  })

  it('need an address', async () => {
    const place = placeOf('http://mirror.example')
    const nowhere = createMirrorClient(place, async () => [])
    await expect(nowhere.ask({ path: '/' }, SIGNAL)).rejects.toThrow('has no address')
    const unknown = createMirrorClient(place, () => Promise.reject(new Error('no name')))
    await expect(unknown.ask({ path: '/' }, SIGNAL)).rejects.toThrow('no name')
  })
})

describe('an image', () => {
  it('may be described in odd ways', () => {
    expect(partsOf('text')).toEqual({ config: undefined, layers: [] })
    expect(partsOf({ config: 7, layers: [{ digest: 'a' }, 7] })).toEqual({
      config: undefined,
      layers: [{ digest: 'a', size: 0 }],
    })
    expect(choosePlatform({ manifests: [{ digest: 7 }] }, 'any')).toEqual({
      digest: undefined,
      platforms: ['any'],
    })
    expect(choosePlatform([], 'any')).toBeUndefined()
    expect(ownPlatform('riscv64')).toBe('linux/riscv64')
  })

  it('may be refused with less than it takes', () => {
    const pull = { image: 'quay.io/a/b:1', what: 'manifest 1', hasLogin: false }
    const answer = (status: number, body: string) => ({
      status,
      headers: {},
      body: Buffer.from(body),
    })
    const verdicts = [
      refusedVerdict(answer(429, '{"errors":{}}'), pull),
      refusedVerdict(answer(403, '{"errors":[{"code":7,"message":""}]}'), pull),
      refusedVerdict(answer(500, 'null'), pull),
    ]
    expect(verdicts.map(({ found }) => found)).toEqual([
      'manifest 1: status 429',
      'manifest 1: status 403',
      'manifest 1: status 500',
    ])
    expect(verdicts[0]?.advice).toContain('ask again later')
  })
})
