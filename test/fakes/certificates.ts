/** A private certificate authority, made with the openssl command in a folder of its own. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { ServerCertificate } from './serve.ts'

interface IssuedCertificate extends ServerCertificate {
  readonly certificateFile: string
  readonly keyFile: string
}

export interface CertificateAuthority extends AsyncDisposable {
  /** PEM of the authority's own certificate. */
  readonly ca: string
  readonly caFile: string
  /**
   * A server certificate for these names.
   * @param names as `subjectAltName` has them, e.g. `DNS:quay.lan`; without any: 127.0.0.1 and localhost
   * @param days until it expires; 2. A negative number has passed already.
   */
  issue(names?: readonly string[], days?: number): Promise<IssuedCertificate>
  /** Removes the folder. */
  close(): Promise<void>
}

const run = promisify(execFile)
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
const LOOPBACK = ['IP:127.0.0.1', 'DNS:localhost']

export async function createCertificateAuthority(): Promise<CertificateAuthority> {
  const folder = await mkdtemp(join(tmpdir(), 'entrepot-ca-'))
  const caFile = join(folder, 'ca.pem')
  const caKeyFile = join(folder, 'ca.key')
  await openssl(
    'req',
    '-x509',
    ...KEY,
    '-keyout',
    caKeyFile,
    '-out',
    caFile,
    '-days',
    '2',
    '-subj',
    '/CN=fake authority',
  )
  let issued = 0

  const issue = async (
    names: readonly string[] = LOOPBACK,
    days = 2,
  ): Promise<IssuedCertificate> => {
    const base = join(folder, `server-${(issued += 1)}`)
    const [request, keyFile, certificateFile] = [`${base}.csr`, `${base}.key`, `${base}.pem`]
    await openssl(
      'req',
      ...KEY,
      '-keyout',
      keyFile,
      '-out',
      request,
      '-subj',
      '/CN=fake server',
      '-addext',
      `subjectAltName=${names.join(',')}`,
    )
    await openssl(
      'x509',
      '-req',
      '-in',
      request,
      '-CA',
      caFile,
      '-CAkey',
      caKeyFile,
      // Its own, as several may be issued at the same time.
      '-set_serial',
      `0x${randomBytes(8).toString('hex')}`,
      '-copy_extensions',
      'copy',
      '-days',
      String(days),
      '-out',
      certificateFile,
    )
    const [certificate, key] = await Promise.all([text(certificateFile), text(keyFile)])
    return { certificate, key, certificateFile, keyFile }
  }
  const close = (): Promise<void> => rm(folder, { recursive: true, force: true })

  return { ca: await text(caFile), caFile, issue, close, [Symbol.asyncDispose]: close }
}

async function openssl(...args: string[]): Promise<void> {
  await run('openssl', args)
}

function text(file: string): Promise<string> {
  return readFile(file, 'utf8')
}
