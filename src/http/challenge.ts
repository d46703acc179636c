/** What a caller without a right is told to do: get a token, and where. */
import type { Identity } from '../control/control.ts'
import { OciError } from '../oci/error.ts'
import { forwardingOf } from './caller.ts'
import type { HttpContext, HttpDependencies } from './context.ts'

type Dependencies = Pick<HttpDependencies, 'publicUrl' | 'isTrustedProxy'>

/**
 * One challenge with every parameter quoted: oras reads the first only, and jib parses no others. The realm
 * has the scheme and the host that the client used, as ggcr insists on.
 * @param told `scope` of a request for content, none at the version check, where logins begin; `description`
 *   is what docker shows instead of a sentence of its own (RFC 6750 §3)
 */
export function challenge(
  c: HttpContext,
  dependencies: Dependencies,
  identity: Identity,
  told: { readonly scope?: string; readonly description?: string } = {},
): string {
  const { scope, description } = told
  const base = baseUrl(c, dependencies)
  const error = errorOf(c, identity)
  const parameters = [
    `realm="${base}/token"`,
    `service="${hostOf(base)}"`,
    ...(scope === undefined ? [] : [`scope="${scope}"`]),
    ...(error === undefined ? [] : [`error="${error}"`]),
    ...(error === undefined || description === undefined
      ? []
      : [`error_description="${quotable(description)}"`]),
  ]
  return `Bearer ${parameters.join(',')}`
}

/** RFC 6750 §3 allows printable ASCII without quotes and backslashes. */
function quotable(text: string): string {
  return text.replace(/[^\x20-\x7e]|["\\]/g, "'")
}

/** What to type behind `docker login`. */
export function loginHost(c: HttpContext, dependencies: Dependencies): string {
  return hostOf(baseUrl(c, dependencies))
}

/**
 * As the client calls this mirror, unless it is told how.
 * @throws {OciError} NAME_INVALID when the request says nothing that could be a host
 */
export function baseUrl(c: HttpContext, dependencies: Dependencies): string {
  const publicUrl = dependencies.publicUrl()
  if (publicUrl !== undefined) return publicUrl.replace(/\/+$/, '')
  const { scheme, host } = forwardingOf(c, dependencies)
  if (host === undefined) {
    throw new OciError('NAME_INVALID', 'The Host header of this request is malformed.')
  }
  return `${scheme}://${host}`
}

function hostOf(base: string): string {
  return base.replace(/^[a-z]+:\/\//i, '').replace(/\/.*$/, '')
}

/** Without it containerd keeps a token that did not help, and fails (RFC 6750 §3.1). */
function errorOf(c: HttpContext, { credential }: Identity): string | undefined {
  if (credential === 'none' || !showsBearer(c)) return undefined
  return credential === 'accepted' ? 'insufficient_scope' : 'invalid_token'
}

function showsBearer(c: HttpContext): boolean {
  return /^bearer(?: |$)/i.test(c.env.incoming.headers.authorization ?? '')
}
