/** One question to each endpoint of an upstream as each account, to see what becomes of it. Nothing is fetched. */
import type { Metrics } from '../metrics.ts'
import { createAuthenticator, type AuthenticatedRequest } from './auth.ts'
import { discardBody } from './body.ts'
import { createBudget } from './budget.ts'
import type { UpstreamOptions } from './client.ts'
import { resolveBySystem, type Resolve } from './connect.ts'
import { createIdentities } from './identities.ts'
import { header } from './response.ts'
import { apiUrl, createRoutes, type Route } from './route.ts'
import { createTokens } from './tokens.ts'
import { createTransport } from './transport.ts'
import { UpstreamError } from './upstream.ts'

export interface Probe {
  /** Scheme and host. */
  readonly origin: string
  /** `anonymous`, or the place in the configuration, such as `credentials[0]`. */
  readonly account: string
  readonly outcome: ProbeOutcome
}

type ProbeOutcome =
  | {
      readonly kind: 'answered'
      /** The last, after all that could be proven. */
      readonly status: number
      /** How far the clock there is ahead, in milliseconds; `undefined`: it says no time. */
      readonly clockAhead: number | undefined
      /** Pulls, as the answer has them. */
      readonly limit: number | undefined
      readonly remaining: number | undefined
    }
  | { readonly kind: 'failed'; readonly error: UpstreamError }

/** What is asked for: `/v2/`, or a tag of a repository by HEAD, which counts as no pull. */
export interface ProbeQuestion {
  /** What a token is asked for where a challenge does not say. */
  readonly repository: string
  readonly tag: string | undefined
}

interface ProbeDependencies {
  readonly resolve?: Resolve
}

const NO_METRICS: Pick<Metrics, 'upstreamRequested' | 'tokenRequested'> = {
  upstreamRequested: () => undefined,
  tokenRequested: () => undefined,
}

/**
 * Each endpoint as each account that it may see. Where an endpoint cannot be reached, its other accounts
 * are not tried.
 * @throws what the signal was aborted with
 */
export async function probeUpstream(
  options: UpstreamOptions,
  question: ProbeQuestion,
  signal: AbortSignal,
  { resolve = resolveBySystem }: ProbeDependencies = {},
): Promise<Probe[]> {
  const now = (): number => performance.now()
  const identities = createIdentities(now)
  const routes = createRoutes(options.endpoints, options.credentials, (credential, endpoint) =>
    identities.create(credential, endpoint),
  )
  const transport = createTransport(options, { metrics: NO_METRICS, resolve, now })
  const tokens = createTokens(options, { transport, metrics: NO_METRICS, now })
  const authenticator = createAuthenticator(options, { transport, tokens })
  const budget = createBudget(routes, now)

  async function ask(route: Route): Promise<ProbeOutcome> {
    const askedAt = Date.now()
    try {
      const response = await authenticator.send(requestOf(route, question, signal))
      const clockAhead = aheadOf(header(response, 'date'), (askedAt + Date.now()) / 2)
      const { status } = response
      const said = budget.note(route, response)
      await discardBody(response)
      const { limit, remaining } = said ?? { limit: undefined, remaining: undefined }
      return { kind: 'answered', status, clockAhead, limit, remaining }
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof UpstreamError) return { kind: 'failed', error }
      throw error
    }
  }

  try {
    const probes: Probe[] = []
    for (const route of routes) {
      const { origin } = route.endpoint
      const { account } = route
      const before = probes.find((it) => it.origin === origin && isUnreachable(it.outcome))
      if (before === undefined) probes.push({ origin, account, outcome: await ask(route) })
    }
    return probes
  } finally {
    identities.close(new UpstreamError('unavailable', `${options.name} is no longer asked.`))
    await transport.close()
  }
}

function isUnreachable(outcome: ProbeOutcome): boolean {
  return outcome.kind === 'failed' && outcome.error.reason === 'unavailable'
}

function requestOf(
  route: Route,
  { repository, tag }: ProbeQuestion,
  signal: AbortSignal,
): AuthenticatedRequest {
  const url = apiUrl(route, tag === undefined ? '' : `${repository}/manifests/${tag}`)
  return { route, method: tag === undefined ? 'GET' : 'HEAD', url, headers: {}, repository, signal }
}

function aheadOf(date: string | undefined, now: number): number | undefined {
  const said = Date.parse(date ?? '')
  return Number.isNaN(said) ? undefined : said - now
}
