/** How clients are configured for this mirror, for whoever wants to point one at it. */
import type { Handler } from 'hono'
import { CLIENT_NAMES, type MirrorFacts } from '../clients/client-config.ts'
import { clientConfig } from '../clients/configure.ts'
import { describeClient } from '../clients/describe.ts'
import { installScript } from '../clients/install-script.ts'
import { FormatError } from '../formats/format-error.ts'
import { OciError } from '../oci/error.ts'
import { respond } from './answer.ts'
import { baseUrl } from './challenge.ts'
import type { HttpContext, HttpDependencies, HttpEnvironment } from './context.ts'

type Dependencies = Pick<HttpDependencies, 'control' | 'publicUrl' | 'isTrustedProxy'>

/** The list of clients, and where the script is. */
export function createClientList(dependencies: Dependencies) {
  return function clientList(c: HttpContext): Response {
    const facts = checked(factsOf(c, dependencies))
    const width = Math.max(...CLIENT_NAMES.map((name) => name.length))
    const lines = CLIENT_NAMES.map(
      (name) => `  ${name.padEnd(width)}  ${clientConfig(name, facts).title}`,
    )
    return text(c, [
      `What each client needs to pull through ${facts.url}:`,
      '',
      `  curl -fsS ${facts.url}/client/NAME`,
      `  curl -fsS '${facts.url}/client/NAME?fallback=no'   # never around the mirror`,
      '',
      ...lines,
      '',
      'For the engines of this host, all at once; it asks before it changes anything:',
      '',
      `  curl -fsSL ${facts.url}/client/install.sh | sudo sh`,
    ])
  }
}

/** One of them. What it does not know is for whoever comes behind it: `/client/v2` is a path of the registry. */
export function createClientPage(dependencies: Dependencies): Handler<HttpEnvironment> {
  return async function clientPage(c, next): Promise<Response | void> {
    const name = CLIENT_NAMES.find((it) => c.req.path === `/client/${it}`)
    if (name === undefined) return next()
    const fallback = queryOf(c).get('fallback') ?? 'yes'
    if (fallback !== 'yes' && fallback !== 'no') {
      return text(c, ['The parameter fallback is yes or no.'], 400)
    }
    const facts = checked({ ...factsOf(c, dependencies), fallback: fallback === 'yes' })
    return text(c, [describeClient(clientConfig(name, facts)).trimEnd()])
  }
}

/** Of the target as it was sent. */
function queryOf(c: HttpContext): URLSearchParams {
  return new URLSearchParams(/\?.*$/s.exec(c.env.incoming.url ?? '')?.[0])
}

export function createInstallScript(dependencies: Dependencies) {
  return function clientScript(c: HttpContext): Response {
    return text(c, [installScript(checked(factsOf(c, dependencies))).trimEnd()])
  }
}

/** Nothing here is a secret: everybody may read it. */
function factsOf(c: HttpContext, dependencies: Dependencies): MirrorFacts {
  const { upstreams, defaultUpstream } = dependencies.control.policy().routing
  return {
    url: baseUrl(c, dependencies),
    upstreams: [...upstreams],
    defaultUpstream,
    ca: undefined,
    login: undefined,
    fallback: true,
  }
}

/**
 * Hosts may be spelled in ways that clients do not take, such as with a dot at the end.
 * @throws {OciError} NAME_INVALID
 */
function checked(facts: MirrorFacts): MirrorFacts {
  try {
    clientConfig('docker', facts)
    return facts
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    throw new OciError('NAME_INVALID', error.message, { cause: error })
  }
}

/** By another name of the mirror it is another text. */
function text(c: HttpContext, lines: readonly string[], status = 200): Response {
  const headers = {
    'Content-Type': 'text/plain; charset=utf-8',
    'Cache-Control': 'no-store',
  }
  const answer = respond(c, `${lines.join('\n')}\n`, headers)
  return status === 200 ? answer : new Response(answer.body, { status, headers: answer.headers })
}
