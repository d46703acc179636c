/** Clients that pull without end from a mirror that may die under them, and believe nothing. */
import { request } from '../support/client.ts'
import { pull } from '../support/pull.ts'
import type { Chance } from './chance.ts'
import type { OfferedImage } from './growing-images.ts'

export interface KilledClients {
  /** From now on connections may break. */
  expectDeath(): void
  /** Resolves when all have noticed. */
  gone(): Promise<void>
}

interface ClientsOptions {
  readonly url: string
  readonly images: readonly OfferedImage[]
  readonly chance: Chance
  readonly count: number
  /** Is told what no client may ever see. */
  readonly onViolation: (what: string) => void
}

export function startClients(options: ClientsOptions): KilledClients {
  const { images, chance, count, onViolation } = options
  let dying = false

  async function client(): Promise<void> {
    for (;;) {
      const image = chance.oneOf(images)
      try {
        await (chance.next() < 0.3 ? takeRange(options, image) : pullWhole(options, image))
      } catch (error) {
        if (dying && isBrokenConnection(error)) return
        onViolation(`${dying ? 'at its death' : 'alive'}, ${image.name}: ${String(error)}`)
        if (dying) return
      }
    }
  }

  const clients = Array.from({ length: count }, client)
  return {
    expectDeath: () => {
      dying = true
    },
    gone: async () => void (await Promise.all(clients)),
  }
}

async function pullWhole({ url }: ClientsOptions, offered: OfferedImage): Promise<void> {
  const { digest } = await pull(url, offered.name, offered.tag)
  if (digest !== offered.image.digest) throw new Error(`${offered.tag} is ${digest}`)
  offered.isPulled = true
}

async function takeRange({ url, chance }: ClientsOptions, offered: OfferedImage): Promise<void> {
  const { digest, bytes } = chance.oneOf(offered.image.blobs)
  const first = chance.between(0, bytes.length)
  const last = chance.between(first, bytes.length)
  const path = `/v2/${offered.name}/blobs/${digest}`
  const headers = { range: `bytes=${first}-${last}` }
  const { status, body, complete } = await request({ url, path, headers })
  if (status !== 206) throw new Error(`${path} was answered ${status}`)
  if (complete && !body.equals(bytes.subarray(first, last + 1))) {
    throw new Error(`${first}-${last} of ${path} is something else`)
  }
  if (!complete) throw new Error(`${path} was cut after ${body.length} bytes`)
}

function isBrokenConnection(error: unknown): boolean {
  const { code = '', message } = error as NodeJS.ErrnoException
  return ['ECONNREFUSED', 'ECONNRESET', 'EPIPE'].includes(code) || / was cut after \d/.test(message)
}
