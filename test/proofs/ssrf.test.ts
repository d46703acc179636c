/**
 * No spelling of an address makes the mirror connect to what is not public, wherever it is named: as an
 * endpoint, as a token server, in a redirect (security rule R4, CVE-2026-54450, CVE-2026-58442).
 */
import { isIP } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/config/load.ts'
import { createMetrics } from '../../src/metrics.ts'
import { parseReference, parseRepository } from '../../src/oci/reference.ts'
import { createUpstream, type UpstreamOptions } from '../../src/upstream/client.ts'
import { DEFAULT_ANSWERS, SPELLINGS, type Spelling } from './ssrf-spellings.ts'
import {
  ALLOWED,
  answersInTurn,
  openSsrfWorld,
  watchConnections,
  type Answer,
  type SsrfWorld,
} from './ssrf-world.ts'

const REPOSITORY = parseRepository('library/alpine')
const TAG = parseReference('latest')
const DEADLINE = 5000

/** One place in which an address can be named. */
interface Vector {
  readonly name: string
  readonly scheme?: 'http' | 'https'
  /** The registry is asked before the address is met. */
  readonly begins: 'at the registry' | 'at the address'
  /** False: nothing is sent there even where the address may be connected to. */
  readonly isFollowed?: boolean
  readonly answer?: (target: string, home: string) => Answer
  /** @throws where the configuration is refused */
  readonly options?: (target: string, home: string) => Partial<UpstreamOptions>
}

const VECTORS: readonly Vector[] = [
  {
    name: 'an endpoint',
    begins: 'at the address',
    options: (target) => ({ endpoints: [target] }),
  },
  {
    name: 'an endpoint over TLS',
    scheme: 'https',
    begins: 'at the address',
    options: (target) => ({ endpoints: [target] }),
  },
  {
    name: 'an endpoint in the file',
    begins: 'at the address',
    options: (target) => ({ endpoints: endpointsOfFile(target) }),
  },
  { name: 'a realm', begins: 'at the registry', answer: challenge, isFollowed: false },
  {
    name: 'a pinned realm',
    begins: 'at the registry',
    answer: challenge,
    options: (target) => ({ realms: hostOf(target) }),
  },
  {
    name: 'a redirect of a pinned token server',
    begins: 'at the registry',
    answer: (target, home) => (request, response) =>
      (request.url?.startsWith('/token') === true ? redirect(target) : challenge(`${home}/token`))(
        request,
        response,
      ),
    options: (target) => ({ realms: hostOf(target) }),
  },
  { name: 'a redirect', begins: 'at the registry', answer: redirect },
  {
    name: 'a redirect of the server that a redirect led to',
    begins: 'at the registry',
    answer: (target, home) => (request, response) =>
      redirect(request.url === '/storage' ? target : `${home}/storage`)(request, response),
  },
  {
    name: 'a realm of the server that a redirect led to',
    begins: 'at the registry',
    answer: (target, home) => (request, response) =>
      (request.url === '/storage' ? challenge(target) : redirect(`${home}/storage`))(
        request,
        response,
      ),
    options: (target) => ({ realms: hostOf(target) }),
  },
]

/** Where a vector leads when everything is allowed, so that a refusal means something. */
const PLAIN: Spelling = { url: 'SCHEME://127.0.0.1:PORT/x' }
const EVERYTHING_LOCAL = ['127.0.0.0/8', '::1/128']

describe('an address that is not public', () => {
  let world: SsrfWorld
  beforeAll(async () => void (world = await openSsrfWorld()))
  afterAll(() => world[Symbol.asyncDispose]())

  it('has at least 250 spellings', () => {
    const cells = SPELLINGS.length * VECTORS.length
    process.stdout.write(
      `ssrf: ${SPELLINGS.length} spellings × ${VECTORS.length} vectors = ${cells} cells\n`,
    )
    expect(SPELLINGS.length).toBeGreaterThanOrEqual(250)
    expect(cells).toBeGreaterThanOrEqual(1000)
  })

  describe.each(VECTORS)('named by $name', (vector) => {
    const { isFollowed = true } = vector

    it(`is ${isFollowed ? 'reached' : 'not even met'} where its network is allowed`, async () => {
      const before = world.heard.sentinels
      const cell = await attempt(vector, PLAIN, world, EVERYTHING_LOCAL)

      expect(cell.attempts.includes('127.0.0.1')).toBe(isFollowed)
      expect(world.heard.sentinels > before).toBe(isFollowed)
    })

    it('is not connected to, whatever its spelling', async () => {
      const before = world.heard.sentinels
      const faults: string[] = []
      for (const spelling of SPELLINGS) {
        const cell = await attempt(vector, spelling, world, [`${ALLOWED}/32`])
        const problem = problemOf(cell, vector)
        if (problem) faults.push(`${cell.target} ${JSON.stringify(spelling.answers)}: ${problem}`)
      }

      expect(faults).toEqual([])
      expect(world.heard.sentinels).toBe(before)
    })
  })
})

interface Cell {
  readonly target: string
  /** What the operation failed with; `undefined` when it did not. */
  readonly refusal: string | undefined
  readonly attempts: readonly string[]
  readonly asked: readonly string[]
  /** `Host` of each request that the registry got. */
  readonly hosts: readonly string[]
  /** The name is looked up once and no more: nothing is sent under it. */
  readonly isRefusedAtOnce: boolean
}

async function attempt(
  { scheme = 'http', answer, options }: Vector,
  { url, answers = DEFAULT_ANSWERS }: Spelling,
  world: SsrfWorld,
  networks: readonly string[],
): Promise<Cell> {
  const fill = (text: string): string =>
    text
      .replaceAll('SCHEME', scheme)
      .replaceAll('PORT', String(world.port))
      .replaceAll('ALLOWED', ALLOWED)
  const target = fill(url)
  const home = `http://${ALLOWED}:${world.port}`
  const dns = answersInTurn(answers.map((answer_) => answer_.map(fill)))
  world.heard.hosts.length = 0
  if (answer) world.answerWith(answer(target, home))
  using connections = watchConnections()
  const refusal = await refusalOf(async () => {
    const configured = { ...upstreamOptions(home, networks), ...options?.(target, home) }
    const dependencies = { metrics: createMetrics(), resolve: dns.resolve }
    const upstream = createUpstream(configured, dependencies)
    try {
      await upstream.headManifest(REPOSITORY, TAG, AbortSignal.timeout(DEADLINE))
    } finally {
      await upstream.close()
    }
  })
  const { attempts } = connections
  const hosts = [...world.heard.hosts]
  const isRefusedAtOnce = answers.length === 1
  return { target, refusal, attempts, asked: dns.asked, hosts, isRefusedAtOnce }
}

function upstreamOptions(home: string, networks: readonly string[]): UpstreamOptions {
  return {
    name: 'registry.test',
    endpoints: [home],
    credentials: [],
    realms: [],
    insecure: true,
    ca: undefined,
    networks,
    timeouts: { connect: DEADLINE, firstByte: DEADLINE, idle: DEADLINE },
  }
}

function problemOf(
  { target, refusal, attempts, asked, hosts, isRefusedAtOnce }: Cell,
  { begins }: Vector,
): string | undefined {
  const foreign = attempts.filter((address) => address !== ALLOWED)
  if (foreign.length > 0) return `connected to ${foreign.join(', ')}`
  if (refusal === undefined) return 'was not refused'
  if (/Timeout|timed out|aborted/i.test(refusal)) return `was not refused at once: ${refusal}`
  if (begins === 'at the registry' && hosts.length === 0) return 'was never met'
  if (isRefusedAtOnce && hosts.some((host) => hostOf(target).includes(host))) return 'was asked'
  if (isRefusedAtOnce && begins === 'at the address' && attempts.length > 0) return 'was tried'
  return isLiteral(target) && asked.length > 0 ? `was looked up: ${asked.join(', ')}` : undefined
}

async function refusalOf(operation: () => Promise<void>): Promise<string | undefined> {
  try {
    await operation()
    return undefined
  } catch (error) {
    return String(error)
  }
}

/** A URL that can be parsed, and whose host needs no look-up. */
function isLiteral(target: string): boolean {
  const hostname = URL.canParse(target) ? new URL(target).hostname : ''
  return isIP(hostname.replace(/^\[|\]$/g, '')) !== 0
}

function hostOf(target: string): string[] {
  return URL.canParse(target) ? [new URL(target).host] : []
}

/** @throws when the file is refused */
function endpointsOfFile(target: string): readonly string[] {
  const upstream = { endpoints: [target], insecure: true, networks: EVERYTHING_LOCAL }
  const { upstreams } = parseConfig(
    JSON.stringify({ upstreams: { 'registry.test': upstream }, allow: ['**'] }),
    { file: 'mirrors.yml', env: {} },
  )
  return upstreams.get('registry.test')?.endpoints ?? []
}

function challenge(target: string): Answer {
  return (_, response) => {
    const header = asHeader(`Bearer realm="${target}",service="registry",scope="x"`)
    response.writeHead(401, { 'WWW-Authenticate': header }).end()
  }
}

function redirect(target: string): Answer {
  return (_, response) => response.writeHead(307, { Location: asHeader(target) }).end()
}

/** UTF-8, as servers send it that look at nothing. */
function asHeader(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}
