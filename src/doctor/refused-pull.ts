/** What the mirror says when it does not give what was asked for, and what is to be done about it. Pure. */
import { failed, type Verdict } from './finding.ts'
import type { MirrorAnswer } from './mirror-client.ts'

interface Pull {
  /** As people name it. */
  readonly image: string
  /** Which part of it was asked for. */
  readonly what: string
  readonly hasLogin: boolean
}

export function refusedVerdict(answer: MirrorAnswer, { image, what, hasLogin }: Pull): Verdict {
  const { status, headers } = answer
  const { code, message } = errorIn(answer.body)
  const id = headers['x-request-id']
  const said = [
    `${what}: status ${status}`,
    ...(code === undefined ? [] : [` ${code}`]),
    ...(message === undefined ? [] : [`: ${message}`]),
    ...(typeof id === 'string' ? [` (request ${id} in the log)`] : []),
  ].join('')
  return failed(said, adviceFor(answer, { image, hasLogin, code }))
}

interface Refusal {
  readonly image: string
  readonly hasLogin: boolean
  readonly code: string | undefined
}

function adviceFor({ status, headers }: MirrorAnswer, { image, hasLogin, code }: Refusal): string {
  if (status === 401) {
    return hasLogin
      ? 'This login may not pull it, or this client did not log in, as /v2/ asked for no login: "entrepot explain" on the host of the mirror tells.'
      : 'Say --username and --password-file: without a login it cannot be pulled.'
  }
  if (status === 403) {
    return `No rule allows it, or one denies it: entrepot explain ${image}; entrepot requests lists what was asked for in vain.`
  }
  if (status === 404 && code === 'NAME_UNKNOWN') {
    return 'Add this registry to the upstreams of the mirror, or mend the name.'
  }
  if (status === 404)
    return 'Upstream does not have it, or only for who logs in there: mend the name or the tag, or give the upstream an account ("credentials").'
  if (status === 429 || status === 503) {
    const wait = headers['retry-after']
    const when = typeof wait === 'string' ? ` in ${wait} s` : ' later'
    return `Upstream limits requests or is out of order: ask again${when}, and run "entrepot doctor" on the host of the mirror.`
  }
  return 'Look for the request in the log of the mirror, or in that of what is in front of it.'
}

/** The first of the errors that the specification of OCI has in its answers. */
function errorIn(body: Buffer): {
  readonly code: string | undefined
  readonly message: string | undefined
} {
  try {
    const { errors } = JSON.parse(body.toString()) as { readonly errors?: unknown }
    const [first] = Array.isArray(errors) ? (errors as unknown[]) : []
    const { code, message } = (first ?? {}) as Readonly<Record<string, unknown>>
    return { code: textOf(code), message: textOf(message) }
  } catch {
    return { code: undefined, message: undefined }
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
