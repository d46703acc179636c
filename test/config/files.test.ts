import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  readCertificates,
  readFailure,
  readPrivateKey,
  readSecret,
} from '../../src/config/files.ts'
import { CERTIFICATE, CERTIFICATE_KEY, folderWith, invalid } from './fixtures.ts'

const NO_CERTIFICATES =
  'is not a file of PEM certificates (-----BEGIN CERTIFICATE-----) that can all be read'

describe('readCertificates', () => {
  it('gives the file unchanged, also one that holds more', () => {
    const pem = `${CERTIFICATE}\n${CERTIFICATE_KEY}${CERTIFICATE}`
    const folder = folderWith({ 'tls.crt': pem })
    expect(readCertificates(folder, 'tls.crt')).toBe(pem)
    expect(readCertificates('/', join(folder, 'tls.crt'))).toBe(pem)
  })

  it.each([
    ['nothing', ''],
    ['a key', CERTIFICATE_KEY],
    ['text', 'certificate'],
    ['a damaged one behind a good one', CERTIFICATE + CERTIFICATE.replace(/M/g, 'A')],
    ['one cut short', CERTIFICATE.slice(0, 300)],
  ])('refuses a file with %s', (_, content) => {
    const folder = folderWith({ file: content })
    expect(invalid(() => readCertificates(folder, 'file'))).toBe(NO_CERTIFICATES)
  })

  it('refuses PEM in the place of a name', () => {
    expect(invalid(() => readCertificates('/', CERTIFICATE))).toBe(
      'is PEM itself; put it into a file, and write the name of the file',
    )
  })

  it('says why a file cannot be read', () => {
    const folder = folderWith({})
    mkdirSync(join(folder, 'sub'))
    const place = `(looked in ${folder})`
    expect(invalid(() => readCertificates(folder, 'none'))).toBe(
      `cannot be read: there is no such file ${place}`,
    )
    expect(invalid(() => readCertificates(folder, 'sub'))).toBe(
      `cannot be read: it is a folder ${place}`,
    )
    expect(invalid(() => readCertificates(folder, 'a\0b'))).toBe(
      `cannot be read: ERR_INVALID_ARG_VALUE ${place}`,
    )
    expect(invalid(() => readCertificates(folder, ''))).toBe('is not the name of a file')
  })
})

describe('readPrivateKey', () => {
  it('gives the file unchanged when the key fits', () => {
    const folder = folderWith({ key: CERTIFICATE_KEY })
    expect(readPrivateKey(folder, 'key', CERTIFICATE)).toBe(CERTIFICATE_KEY)
  })

  it('refuses the key of another certificate, unless no certificate could be read', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const pem = String(privateKey.export({ type: 'pkcs8', format: 'pem' }))
    const folder = folderWith({ key: pem })
    expect(invalid(() => readPrivateKey(folder, 'key', CERTIFICATE))).toContain(
      'does not belong to the first certificate',
    )
    expect(readPrivateKey(folder, 'key', undefined)).toBe(pem)
  })

  it('refuses what is no key that can be used at once', () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const folder = folderWith({
      text: 'key',
      encrypted: String(
        privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-128-cbc', passphrase: 'x' }),
      ),
      public: String(publicKey.export({ type: 'spki', format: 'pem' })),
      certificate: CERTIFICATE,
    })
    for (const name of ['text', 'encrypted', 'public', 'certificate']) {
      expect(invalid(() => readPrivateKey(folder, name, CERTIFICATE))).toBe(
        'is not a private key in PEM without a passphrase (-----BEGIN PRIVATE KEY-----)',
      )
    }
  })
})

describe('readSecret', () => {
  it('takes off one line break and nothing else', () => {
    const folder = folderWith({ a: ' secret \n\n', b: 'secret' })
    expect(readSecret(folder, 'a')).toBe(' secret \n')
    expect(readSecret(folder, 'b')).toBe('secret')
  })
})

it.each([
  [{ code: 'EACCES' }, 'this user may not read it'],
  [{ code: 'EIO' }, 'EIO'],
  [new Error('with a path in it'), 'unknown error'],
])('%o is told as %j', (error, reason) => {
  expect(readFailure(error)).toBe(reason)
})
