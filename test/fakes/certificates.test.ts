import { X509Certificate } from 'node:crypto'
import { access } from 'node:fs/promises'
import { dirname } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createCertificateAuthority } from './certificates.ts'

describe('a private certificate authority', () => {
  it('signs for loopback, or for the names asked for', async () => {
    await using authority = await createCertificateAuthority()
    const ca = new X509Certificate(authority.ca)

    const loopback = new X509Certificate((await authority.issue()).certificate)
    expect(loopback.verify(ca.publicKey)).toBe(true)
    expect(loopback.checkIP('127.0.0.1')).toBe('127.0.0.1')
    expect(loopback.checkHost('localhost')).toBe('localhost')

    const named = new X509Certificate((await authority.issue(['DNS:quay.lan'])).certificate)
    expect(named.checkHost('quay.lan')).toBe('quay.lan')
    expect(named.checkHost('localhost')).toBeUndefined()
  })

  it('issues certificates that have expired', async () => {
    await using authority = await createCertificateAuthority()
    const expired = new X509Certificate((await authority.issue(undefined, -1)).certificate)
    expect(Date.parse(expired.validTo)).toBeLessThan(Date.now())
  })

  it('removes its folder', async () => {
    const authority = await createCertificateAuthority()
    await authority.close()
    await expect(access(dirname(authority.caFile))).rejects.toMatchObject({ code: 'ENOENT' })
  })
})
