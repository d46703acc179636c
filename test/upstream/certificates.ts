/** A private certificate authority and a server certificate of it, made by the openssl command. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

export interface Certificates {
  /** PEM of the authority. */
  readonly ca: string
  readonly key: string
  readonly cert: string
}

const run = promisify(execFile)
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** @param names subject alternative names, e.g. `IP:127.0.0.1` or `DNS:registry.test` */
export async function createCertificates(names: readonly string[]): Promise<Certificates> {
  const folder = await mkdtemp(join(tmpdir(), 'certificates-'))
  const openssl = (...args: string[]) => run('openssl', args, { cwd: folder })
  try {
    await openssl(
      'req',
      '-x509',
      ...NEW_KEY,
      '-keyout',
      'ca.key',
      '-out',
      'ca.pem',
      '-subj',
      '/CN=Test authority',
    )
    await openssl(
      'req',
      ...NEW_KEY,
      '-keyout',
      'server.key',
      '-out',
      'server.csr',
      '-subj',
      '/CN=server',
    )
    await writeFile(join(folder, 'names'), `subjectAltName=${names.join(',')}\n`)
    await openssl(
      'x509',
      '-req',
      '-in',
      'server.csr',
      '-CA',
      'ca.pem',
      '-CAkey',
      'ca.key',
      // Its own, as several may be issued at the same time.
      '-set_serial',
      `0x${randomBytes(8).toString('hex')}`,
      '-extfile',
      'names',
      '-out',
      'server.pem',
    )
    const [ca, key, cert] = await Promise.all(
      ['ca.pem', 'server.key', 'server.pem'].map((file) => readFile(join(folder, file), 'utf8')),
    )
    return { ca: ca ?? '', key: key ?? '', cert: cert ?? '' }
  } finally {
    await rm(folder, { recursive: true })
  }
}
