/** As whom an upstream is asked. */
import { parseEndpoint } from './endpoint.ts'
import { readSecret } from './files.ts'
import { presetFor } from './presets.ts'
import { InvalidValue } from './problem.ts'
import type { Credential } from './schema.ts'
import type { Section } from './section.ts'
import type { CredentialShape, UpstreamShape } from './shape.ts'

const HELPER_PREFIX = 'docker-credential-'

/** The upstream that the credentials are for. */
interface Context {
  readonly name: string
  readonly endpoints: readonly string[]
  /** What relative file names are relative to. */
  readonly folder: string
}

/** Who to be, without where. */
type Identity =
  { readonly username: string; readonly password: string } | { readonly helper: string }

export function readCredentials(
  upstream: Section<UpstreamShape>,
  context: Context,
): readonly Credential[] {
  // What was refused there has been told there.
  const known = [...context.endpoints, ...(upstream.shape.endpoints ?? [])]
  return upstream.items('credentials').flatMap((section) => {
    const endpoint = section.read('endpoint', (text) => parseOwnEndpoint(text, known, context))
    const identity = readIdentity(section, context.folder)
    const endpoints = endpoint === undefined ? ownEndpoints(context) : [endpoint]
    return identity === undefined ? [] : [{ ...identity, endpoints }]
  })
}

/** A copy of a well-known registry may belong to somebody else, who must not see its accounts. */
export function ownEndpoints({
  name,
  endpoints,
}: Pick<Context, 'name' | 'endpoints'>): readonly string[] {
  const own = endpoints.filter((endpoint) => presetFor(name)?.endpoints.includes(endpoint))
  return own.length > 0 ? own : endpoints
}

function parseOwnEndpoint(
  text: string,
  known: readonly (string | undefined)[],
  { name, endpoints }: Context,
): string {
  const endpoint = parseEndpoint(text)
  if (endpoints.length > 0 && !known.includes(text) && !known.includes(endpoint)) {
    throw new InvalidValue(`is not an endpoint of ${name}; write ${endpoints.join(' or ')}`)
  }
  return endpoint
}

function readIdentity(section: Section<CredentialShape>, folder: string): Identity | undefined {
  return section.isAbsent('helper') ? readAccount(section, folder) : readHelper(section)
}

function readHelper(section: Section<CredentialShape>): Identity | undefined {
  for (const key of ['username', 'password', 'passwordFile'] as const) {
    if (section.isAbsent(key)) continue
    section.report.add(
      section.at(key),
      'is there beside helper, which gives user and password itself; keep one of the two',
    )
  }
  const helper = section.read('helper', parseHelper)
  return helper === undefined ? undefined : { helper }
}

function readAccount(section: Section<CredentialShape>, folder: string): Identity | undefined {
  const username = section.require('username', 'the user name of the account', parseUserName)
  const password = readPassword(section, folder)
  if (username === undefined || password === undefined) return undefined
  return { username, password }
}

function readPassword(section: Section<CredentialShape>, folder: string): string | undefined {
  const { password, passwordFile } = section.shape
  if (passwordFile === undefined) {
    return section.require('password', 'it, or passwordFile with the name of a file', parsePassword)
  }
  if (password !== undefined) {
    section.report.add(section.at('password'), 'is there beside passwordFile; keep one of the two')
  }
  return section.read('passwordFile', (file) => readSecret(folder, file))
}

/** No path, no option and no space: it becomes part of the name of a program that is looked up and run. */
function parseHelper(text: string): string {
  if (text.startsWith(HELPER_PREFIX)) {
    throw new InvalidValue(`begins with ${HELPER_PREFIX}, which is added by itself; leave it out`)
  }
  if (!/^[a-z0-9][a-z0-9._-]*$/.test(text)) {
    throw new InvalidValue(
      `is not the name of a credential helper; write what follows ${HELPER_PREFIX} in the name of the program, for example ecr-login`,
    )
  }
  return text
}

/** A colon ends the user name in Basic authentication, and control characters are illegal (RFC 7617 §2). */
function parseUserName(text: string): string {
  if (text === '') throw new InvalidValue('is empty; write the user name of the account')
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[:\u0000-\u001f\u007f]/.test(text)) {
    throw new InvalidValue('holds a colon or a control character, which no user name may')
  }
  return text
}

function parsePassword(text: string): string {
  if (text === '') throw new InvalidValue('is empty; write the password of the account')
  return text
}
