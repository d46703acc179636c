/** The host of the mirror: what the configuration asks of it, and what it has. */
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { totalmem } from 'node:os'
import { X509Certificate } from 'node:crypto'
import type { Config } from '../config/schema.ts'
import { factsOf, validityTrouble } from './certificate.ts'
import { ok, skipped, warning, type Verdict } from './finding.ts'
import type { Check } from './run.ts'
import { sizeText } from '../size-text.ts'

export interface HostFacts {
  /** Files that one process may have open; `undefined` where that is not told. */
  readonly openFiles: () => Promise<number | undefined>
  /** Bytes of memory that there are for this process. */
  readonly memory: () => number
}

export const HOST_FACTS: HostFacts = {
  async openFiles() {
    const text = await readFile('/proc/self/limits', 'utf8').catch(() => '')
    const limit = /^Max open files +(\S+)/m.exec(text)?.[1]
    if (limit === undefined) return undefined
    return limit === 'unlimited' ? Infinity : Number(limit)
  },
  memory() {
    // Of the control group; more than there is stands for no limit.
    const limit = process.constrainedMemory()
    return limit > 0 ? Math.min(limit, totalmem()) : totalmem()
  },
}

/** Each client that is sent something takes a socket and perhaps a file, each download a few of both. */
const FEW_OPEN_FILES = 4096
/** Bytes, as docs/operations.md has them: of the process that fetches, of one that serves, for what is under way. */
const BASE_MEMORY = 110 * 2 ** 20
const WORKER_MEMORY = 90 * 2 ** 20
const SPARE_MEMORY = 128 * 2 ** 20

/** @param now milliseconds since the epoch */
export function createHostChecks(config: Config, facts: HostFacts, now: () => number): Check[] {
  return [
    { name: 'certificates', run: async () => judgeCertificates(config, now()) },
    { name: 'memory', run: async () => judgeMemory(config, facts.memory()) },
    { name: 'open files', run: async () => judgeOpenFiles(await facts.openFiles()) },
  ]
}

function judgeCertificates({ tls, publicUrl }: Config, now: number): Verdict[] {
  if (tls.length === 0) {
    return [
      publicUrl?.startsWith('https:') === true
        ? ok('there are none: what is in front of the mirror has to have them')
        : ok('there are none: the mirror speaks plain HTTP'),
    ]
  }
  const ends = tls.flatMap(({ certificate }) => validityTrouble(factsOf(certificate), now) ?? [])
  const names = nameTrouble(tls, publicUrl)
  const found = [...ends, ...(names === undefined ? [] : [names])]
  return found.length > 0 ? found : [ok('the certificates of "tls" hold, with their keys')]
}

function nameTrouble(tls: Config['tls'], publicUrl: string | undefined): Verdict | undefined {
  if (publicUrl?.startsWith('https:') !== true) return undefined
  const host = new URL(publicUrl).hostname.replace(/^\[(.*)\]$/, '$1')
  const isFor = ({ certificate }: { readonly certificate: string }): boolean => {
    const read = new X509Certificate(certificate)
    return (isIP(host) === 0 ? read.checkHost(host) : read.checkIP(host)) !== undefined
  }
  if (tls.some(isFor)) return undefined
  return warning(
    `no certificate of "tls" is for ${host}, which "publicUrl" names`,
    `Have one made that has ${host} among its names (subjectAltName), unless a proxy in front has its own.`,
  )
}

function judgeMemory({ memory, workers }: Config, available: number): Verdict {
  const serving = workers === 1 ? memory : workers * (memory + WORKER_MEMORY)
  const wanted = BASE_MEMORY + serving + SPARE_MEMORY
  const found = `the mirror takes about ${sizeText(wanted)}, and ${sizeText(available)} are there`
  return wanted <= available
    ? ok(found)
    : warning(found, 'Set a smaller "memory" or fewer "workers", or give it more memory.')
}

function judgeOpenFiles(limit: number | undefined): Verdict {
  if (limit === undefined) return skipped('this system does not tell')
  const count = limit === Infinity ? 'any number of' : String(limit)
  const found = `a process may have ${count} files and connections open`
  return limit >= FEW_OPEN_FILES
    ? ok(found)
    : warning(
        found,
        'Many nodes at once need more: LimitNOFILE= of the service, --ulimit nofile= of the container, or ulimit -n.',
      )
}
