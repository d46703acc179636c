/** As whom an upstream is asked. */
import { readSecret } from './files.ts'
import { InvalidValue } from './problem.ts'
import type { Credential } from './schema.ts'
import type { Section } from './section.ts'
import type { CredentialShape, UpstreamShape } from './shape.ts'

const HELPER_PREFIX = 'docker-credential-'

/** @param folder what relative file names are relative to */
export function readCredentials(
  upstream: Section<UpstreamShape>,
  folder: string,
): readonly Credential[] {
  return upstream
    .items('credentials')
    .map((section) => readCredential(section, folder))
    .filter((credential) => credential !== undefined)
}

function readCredential(section: Section<CredentialShape>, folder: string): Credential | undefined {
  return section.isAbsent('helper') ? readAccount(section, folder) : readHelper(section)
}

function readHelper(section: Section<CredentialShape>): Credential | undefined {
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

function readAccount(section: Section<CredentialShape>, folder: string): Credential | undefined {
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
