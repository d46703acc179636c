/** The files that a configuration names: certificates, keys, passwords. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { accessSync, constants, readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { InvalidValue } from './problem.ts'

/** Room for a cloud provider's JSON key, which is used as a password; not for a file named by mistake. */
const SECRET_MAX_BYTES = 64 * 1024

/**
 * One or more PEM certificates, each of which can be read.
 * @param folder what a relative name is relative to
 * @throws {InvalidValue}
 */
export function readCertificates(folder: string, name: string): string {
  const pem = readPem(folder, name)
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs) ?? []
  if (blocks.length === 0 || !blocks.every(isCertificate)) {
    throw new InvalidValue(
      'is not a file of PEM certificates (-----BEGIN CERTIFICATE-----) that can all be read',
    )
  }
  return pem
}

/**
 * @param certificate PEM, leaf first, that the key must belong to; `undefined` when it could not be read
 * @throws {InvalidValue}
 */
export function readPrivateKey(
  folder: string,
  name: string,
  certificate: string | undefined,
): string {
  const pem = readPem(folder, name)
  const key = parsePrivateKey(pem)
  if (certificate !== undefined && !new X509Certificate(certificate).checkPrivateKey(key)) {
    throw new InvalidValue(
      'does not belong to the first certificate in the certificate file; put the server’s own certificate first there, or name its key here',
    )
  }
  return pem
}

/**
 * The content of a file without the line break that editors put at its end.
 * @param kind what it is called in messages
 * @throws {InvalidValue}
 */
export function readSecret(folder: string, name: string, kind = 'password'): string {
  const secret = read(folder, name).replace(/\r?\n$/, '')
  if (secret === '') throw new InvalidValue(`is an empty file; write the ${kind} into it`)
  if (secret.length > SECRET_MAX_BYTES) {
    throw new InvalidValue(`is longer than 64 KiB, so it is hardly a ${kind}`)
  }
  return secret
}

/**
 * The absolute path of a file that can be read now, and is read later.
 * @throws {InvalidValue}
 */
export function findFile(folder: string, name: string): string {
  return withFile(folder, name, (path) => {
    accessSync(path, constants.R_OK)
    // Whatever reads a pipe or a device may wait for ever.
    if (!statSync(path).isFile()) throw new InvalidValue('is not a regular file')
    return path
  })
}

function readPem(folder: string, name: string): string {
  if (name.includes('-----BEGIN')) {
    throw new InvalidValue('is PEM itself; put it into a file, and write the name of the file')
  }
  return read(folder, name)
}

function read(folder: string, name: string): string {
  return withFile(folder, name, (path) => readFileSync(path, 'utf8'))
}

/** @param use is given the absolute path */
function withFile(folder: string, name: string, use: (path: string) => string): string {
  if (name === '') throw new InvalidValue('is not the name of a file')
  try {
    return use(resolve(folder, name))
  } catch (error) {
    if (error instanceof InvalidValue) throw error
    throw new InvalidValue(`cannot be read: ${readFailure(error)} (looked in ${folder})`)
  }
}

/** The system's own message would repeat a path that may have come from the environment. */
export function readFailure(error: unknown): string {
  const { code = 'unknown error' } = error as NodeJS.ErrnoException
  if (code === 'ENOENT') return 'there is no such file'
  if (code === 'EISDIR') return 'it is a folder'
  if (code === 'EACCES') return 'this user may not read it'
  return code
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0
  } catch {
    return false
  }
}

function parsePrivateKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch {
    throw new InvalidValue(
      'is not a private key in PEM without a passphrase (-----BEGIN PRIVATE KEY-----)',
    )
  }
}
