/** The requests of one pull, in the order and with the logins of one kind of client, every byte verified. */
import { createDigestHash, digestAlgorithm, digestHex, isDigest } from '../oci/digest.ts'
import type { IncomingMessage } from 'node:http'
import type { ClientRequests } from '../clients/requests.ts'
import { failed, type Verdict } from './finding.ts'
import { headersOf, logIn, type Login } from './login.ts'
import type { MirrorAnswer, MirrorClient, MirrorRequest } from './mirror-client.ts'
import { refusedVerdict } from './refused-pull.ts'

/** What ends a pull, with what is to be said about it. */
export class PullFailure extends Error {
  override readonly name = 'PullFailure'
  readonly verdict: Verdict

  constructor(verdict: Verdict) {
    super(verdict.found)
    this.verdict = verdict
  }
}

export interface Fetched {
  readonly bytes: Buffer
  readonly digest: string
  /** How the mirror came by it, in a word. */
  readonly outcome: string
  /** From the request to the headers, and to the last byte. */
  readonly firstByteMs: number
  readonly totalMs: number
}

/** Bytes that are not kept. */
type Streamed = Omit<Fetched, 'bytes'> & { readonly size: number }

export interface PullSession {
  /** @throws {PullFailure} as all of these */
  begin(): Promise<void>
  /** A manifest by tag or digest, as the client asks for it; `HEAD` first where it does so. */
  manifest(reference: string): Promise<Fetched>
  /** Small: it is kept. */
  document(digest: string): Promise<Fetched>
  /** Read and verified, not kept. */
  layer(digest: string): Promise<Streamed>
  /** The first bytes only. */
  beginning(digest: string, bytes: number): Promise<Streamed>
}

interface SessionOptions {
  readonly login: Login | undefined
  readonly requests: ClientRequests
  /** As people name it. */
  readonly image: string
  readonly clock: () => number
  readonly signal: AbortSignal
}

const DOCUMENT_MAX_BYTES = 4 * 1024 * 1024

export function createPullSession(client: MirrorClient, options: SessionOptions): PullSession {
  const { login, requests, image, clock, signal } = options
  let proof: Record<string, string> = {}
  /** Those that ask `/v2/` decide there whether they log in at all. */
  let mayLogIn = requests.ping === undefined

  function manifestRequest(reference: string): MirrorRequest {
    return { path: requests.manifest(reference), headers: { Accept: requests.accept } }
  }

  async function open(question: MirrorRequest): Promise<IncomingMessage> {
    const first = await openOnce(question)
    if (first.statusCode !== 401 || !mayLogIn) return first
    await authenticate(await readAnswer(first))
    return openOnce(question)
  }

  function openOnce({ headers, ...rest }: MirrorRequest): Promise<IncomingMessage> {
    return client.open({ ...rest, headers: { ...headers, ...proof } }, signal)
  }

  async function authenticate(refusal: MirrorAnswer): Promise<void> {
    mayLogIn = false
    const result = await logIn(client, refusal, { login, scope: requests.scope }, signal)
    if (result.kind === 'refused') {
      const { found, advice } = result.verdict
      throw new PullFailure(failed(found, advice ?? 'Log in first.'))
    }
    proof = headersOf(result)
  }

  async function openOk(question: MirrorRequest, what: string): Promise<IncomingMessage> {
    const incoming = await open(question)
    const { statusCode: status = 0 } = incoming
    if (status === 200 || status === 206) return incoming
    const answer = await explained(question, incoming)
    throw new PullFailure(refusedVerdict(answer, { image, what, hasLogin: login !== undefined }))
  }

  /** A refused HEAD has no body that says why. */
  async function explained(
    question: MirrorRequest,
    incoming: IncomingMessage,
  ): Promise<MirrorAnswer> {
    const answer = await readAnswer(incoming)
    if (question.method !== 'HEAD') return answer
    return readAnswer(await open({ ...question, method: 'GET' }))
  }

  async function fetchDocument(
    question: MirrorRequest,
    { digest, what }: { readonly digest: string | undefined; readonly what: string },
  ): Promise<Fetched> {
    const started = clock()
    const incoming = await openOk(question, what)
    const firstByteMs = clock() - started
    const { body, headers } = await readAnswer(incoming)
    const shown = digest ?? String(headers['docker-content-digest'] ?? '')
    const actual = verify(body, shown, what)
    return {
      bytes: body,
      digest: actual,
      outcome: outcomeOf(headers),
      firstByteMs,
      totalMs: clock() - started,
    }
  }

  return {
    async begin() {
      if (requests.ping === undefined) return
      const answer = await client.ask({ path: requests.ping }, signal)
      if (answer.status === 401) await authenticate(answer)
      else if (answer.status !== 200) {
        throw new PullFailure(
          refusedVerdict(answer, { image, what: '/v2/', hasLogin: login !== undefined }),
        )
      }
    },

    async manifest(reference) {
      const what = `manifest ${reference}`
      let wanted = reference
      if (requests.headFirst && !isDigest(reference)) {
        const head = await openOk({ ...manifestRequest(reference), method: 'HEAD' }, what)
        head.resume()
        const said = head.headers['docker-content-digest']
        if (isDigest(said)) wanted = said
      }
      const digest = isDigest(wanted) ? wanted : undefined
      return fetchDocument(manifestRequest(wanted), { digest, what })
    },

    document: (digest) =>
      fetchDocument({ path: requests.blob(digest) }, { digest, what: `config ${digest}` }),

    async layer(digest) {
      const started = clock()
      const what = `layer ${digest}`
      const incoming = await openOk({ path: requests.blob(digest) }, what)
      const firstByteMs = clock() - started
      const { size, actual } = await hashAll(incoming, digest)
      if (actual !== digest) throw wrongBytes(what, digest, actual)
      const outcome = outcomeOf(incoming.headers)
      return { size, digest, outcome, firstByteMs, totalMs: clock() - started }
    },

    async beginning(digest, bytes) {
      const started = clock()
      const headers = { Range: `bytes=0-${bytes - 1}` }
      const incoming = await openOk({ path: requests.blob(digest), headers }, `layer ${digest}`)
      const firstByteMs = clock() - started
      const size = await countUpTo(incoming, bytes)
      const outcome = outcomeOf(incoming.headers)
      return { size, digest, outcome, firstByteMs, totalMs: clock() - started }
    },
  }
}

async function readAnswer(incoming: IncomingMessage): Promise<MirrorAnswer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > DOCUMENT_MAX_BYTES) {
      throw new PullFailure(
        failed('what the mirror sent is too long for a manifest or config', 'See what answers.'),
      )
    }
    chunks.push(chunk)
  }
  const { statusCode: status = 0, headers } = incoming
  return { status, headers, body: Buffer.concat(chunks) }
}

/** @returns the digest of the bytes */
function verify(body: Buffer, wanted: string, what: string): string {
  const algorithm = isDigest(wanted) ? digestAlgorithm(wanted) : 'sha256'
  const actual = `${algorithm}:${createDigestHash(algorithm).update(body).digest('hex')}`
  if (isDigest(wanted) && actual !== wanted) throw wrongBytes(what, wanted, actual)
  return actual
}

function wrongBytes(what: string, wanted: string, actual: string): PullFailure {
  return new PullFailure(
    failed(
      `${what}: what came has the digest ${actual}, not ${wanted}`,
      'Something between here and the mirror changes answers: a proxy that compresses or caches. On the host of the mirror: entrepot verify.',
    ),
  )
}

async function hashAll(
  incoming: IncomingMessage,
  digest: string,
): Promise<{ readonly size: number; readonly actual: string }> {
  const algorithm = isDigest(digest) ? digestAlgorithm(digest) : 'sha256'
  const hash = createDigestHash(algorithm)
  let size = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    hash.update(chunk)
    size += chunk.length
  }
  const hex = hash.digest('hex')
  return {
    size,
    actual: isDigest(digest) && hex === digestHex(digest) ? digest : `${algorithm}:${hex}`,
  }
}

/** Leaves after that: who ignores ranges sends more. */
async function countUpTo(incoming: IncomingMessage, bytes: number): Promise<number> {
  let size = 0
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size >= bytes) break
  }
  return Math.min(size, bytes)
}

/** Of RFC 9211, as the mirror writes it: hit, stale, miss, checked again, or past the store. */
function outcomeOf(headers: IncomingMessage['headers']): string {
  const text = String(headers['cache-status'] ?? '').split('entrepot;')[1]
  if (text === undefined) return 'it does not say how it came by it'
  return OUTCOMES.find(([sign]) => text.includes(sign))?.[1] ?? 'served'
}

const OUTCOMES: readonly (readonly [sign: string, word: string])[] = [
  ['detail=stale', 'stale'],
  ['detail=denied', 'denied'],
  ['collapsed', 'joined'],
  ['fwd=miss', 'miss'],
  ['fwd=stale', 'revalidated'],
  ['fwd=bypass', 'bypass'],
  ['hit', 'hit'],
]
