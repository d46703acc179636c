/** Each upstream, asked from here as the mirror asks it: name, connection, certificate, token, limits. */
import type { UpstreamConfig } from '../config/schema.ts'
import { literalComponents } from '../access/pattern.ts'
import { readPattern } from '../access/rule.ts'
import { DOCKER_HUB } from '../oci/registry-name.ts'
import { isRepository } from '../oci/reference.ts'
import { probeUpstream, type Probe, type ProbeQuestion } from '../upstream/probe.ts'
import type { UpstreamError } from '../upstream/upstream.ts'
import { failed, ok, warning, type Verdict } from './finding.ts'
import type { Resolve } from './mirror-client.ts'
import { judgeClock } from './registry.ts'
import type { Check } from './run.ts'

interface Surroundings {
  /** Patterns of `allow`, to find a repository that a token can be asked for. */
  readonly allow: readonly string[]
  /** One that there is, where it is known: of the image that is pulled. */
  readonly repository: string | undefined
  readonly resolve: Resolve
}

/** Milliseconds for all endpoints and accounts of one upstream. */
const DEADLINE = 45_000
/** Where Docker Hub tells how many pulls are left, for a HEAD that is none. */
const RATE_LIMIT_PREVIEW: ProbeQuestion = { repository: 'ratelimitpreview/test', tag: 'latest' }
const ANY_REPOSITORY = 'library/doctor'

export function createUpstreamCheck(
  upstream: UpstreamConfig,
  { allow, repository, resolve }: Surroundings,
): Check {
  const { name } = upstream
  return {
    name: `upstream ${name}`,
    deadline: DEADLINE,
    async run(signal) {
      const known = repository ?? namedRepository(name, allow)
      const asked = { repository: known ?? ANY_REPOSITORY, tag: undefined }
      const question = name === DOCKER_HUB ? RATE_LIMIT_PREVIEW : asked
      const probes = await probeUpstream(upstream, question, signal, { resolve })
      const isGuess = question.repository === ANY_REPOSITORY
      return probes.flatMap((probe) => judgeProbe(probe, isGuess))
    },
  }
}

/** Some registries give tokens only for a repository that there is, such as one that is allowed by name. */
function namedRepository(upstream: string, allow: readonly string[]): string | undefined {
  return allow
    .map((pattern) => readPattern(pattern).name)
    .filter((name) => name.startsWith(`${upstream}/`) && literalComponents(name) === name)
    .map((name) => name.slice(upstream.length + 1))
    .find(isRepository)
}

/** @param isGuess whether it was asked about a repository that there may not be */
function judgeProbe({ origin, account, outcome }: Probe, isGuess: boolean): Verdict[] {
  const who = account === 'anonymous' ? 'without an account' : `as ${account}`
  if (outcome.kind === 'failed') {
    const { error } = outcome
    return [
      isGuess && error.reason === 'forbidden'
        ? unsure(error)
        : judgeFailure(error, origin, account),
    ]
  }
  const { status, clockAhead } = outcome
  const clock = clockAhead === undefined ? undefined : judgeClock(clockAhead, origin)
  return [
    judgeStatus(status, `${origin} ${who}`, account, outcome),
    ...(clock === undefined || clock.state === 'ok' ? [] : [clock]),
  ]
}

function judgeStatus(
  status: number,
  subject: string,
  account: string,
  pulls: { readonly limit: number | undefined; readonly remaining: number | undefined },
): Verdict {
  if (status === 401 || status === 403) return refusedLogin(`${subject}: status ${status}`, account)
  if (status === 429) {
    return warning(
      `${subject}: it limits the number of requests now`,
      'Give the upstream an account ("credentials"), or wait: what is stored is served all the same.',
    )
  }
  if (status >= 500) {
    return failed(
      `${subject}: it is out of order (status ${status})`,
      'Wait, or name another endpoint of this upstream under "endpoints".',
    )
  }
  return judgePulls(`${subject}: it answers`, pulls)
}

function judgePulls(
  found: string,
  {
    limit,
    remaining,
  }: { readonly limit: number | undefined; readonly remaining?: number | undefined },
): Verdict {
  if (remaining === undefined) return ok(found)
  const left = `${found}, ${remaining} of ${limit ?? '?'} pulls left`
  if (remaining > (limit ?? 0) / 10) return ok(left)
  return warning(
    left,
    'Give the upstream an account ("credentials"), or wait: what is stored is served all the same.',
  )
}

/** Nobody may be nobody there; an account that is refused was meant to be somebody. */
function refusedLogin(found: string, account: string): Verdict {
  return account === 'anonymous'
    ? warning(
        `${found}: it gives nothing without an account`,
        'Give the upstream an account ("credentials"), unless it refuses only what there is not.',
      )
    : failed(
        `${found}: the login is not accepted`,
        `Renew user and password under ${account} of this upstream, and see that the account may pull.`,
      )
}

/** ghcr.io gives not even a right login a token for what there is not. */
function unsure({ message }: UpstreamError): Verdict {
  return warning(
    `${message} There may be no repository ${ANY_REPOSITORY}, which was asked about`,
    'Pull an image of this upstream with --image, which tells whether the login is right.',
  )
}

/** The messages say what the address or the certificate lacks, and which key of the configuration is about it. */
function judgeFailure({ reason, message, cause }: UpstreamError, origin: string, account: string) {
  if (reason === 'unauthorized' || reason === 'forbidden') return refusedLogin(message, account)
  return failed(message, adviceFor(message, cause, origin))
}

function adviceFor(message: string, cause: unknown, origin: string): string {
  if (message.includes('"networks"')) {
    return 'The mirror connects to public addresses only, so that no answer can lead it into your network: add the network of this registry under "networks" of this upstream.'
  }
  if (message.includes('"realms"')) {
    return 'Tokens are asked only of hosts that you name, as they are sent your login: add that host if it belongs to the registry.'
  }
  if (message.includes('"ca"')) return 'Name the PEM file of its authority under "ca".'
  if (message.includes('"insecure')) return 'Say "insecure: true" only if nobody is on the way.'
  if (cause === undefined) return 'Ask again later; the log of the mirror tells more.'
  return `See from this host: name servers, firewall, clock. The mirror uses no proxy to get to ${origin}.`
}
