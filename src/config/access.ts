/** Who may pull what: the rules, and the rights of those who ask. */
import { findFile } from './files.ts'
import { InvalidValue } from './problem.ts'
import { parseRepositoryPattern, parseRule } from './rule.ts'
import type { AllowRule, Config } from './schema.ts'
import { Section } from './section.ts'
import type { AllowShape, FileShape, GrantsShape } from './shape.ts'
import { parseDuration } from './units.ts'

type AccessConfig = Pick<Config, 'allow' | 'deny' | 'anonymous' | 'htpasswd' | 'grants'>
type Grants = Config['grants']
type Parse = (text: string) => string

/** The roles that exist, as in `access/`. */
const ROLES = ['pull', 'push', 'operate', 'admin'] as const
const EVERYTHING = ['**']
const USER_NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/

interface Surroundings {
  /** What relative file names are relative to. */
  readonly folder: string
  /** The configured names; `undefined` when the file does not tell them. */
  readonly upstreams: ReadonlySet<string> | undefined
}

export function readAccess(
  file: Section<FileShape>,
  { folder, upstreams }: Surroundings,
): AccessConfig {
  const checkRule: Parse = (text) => parseRule(text, upstreams)
  const checkRight: Parse = (text) => parseRepositoryPattern(text, upstreams)
  return {
    allow: readAllow(file, checkRule),
    deny: file.readList('deny', checkRule),
    anonymous: file.isAbsent('anonymous') ? EVERYTHING : file.readList('anonymous', checkRight),
    htpasswd: file.read('htpasswd', (name) => findFile(folder, name)),
    grants: readGrants(file, checkRight),
  }
}

function readAllow(file: Section<FileShape>, checkRule: Parse): readonly AllowRule[] {
  const lines = file.shape.allow ?? []
  return lines.flatMap((line, index) => {
    const path = [...file.at('allow'), index]
    if (typeof line === 'object') {
      return readAllowRule(new Section<AllowShape>(line, path, file.report), checkRule)
    }
    const pattern = line === undefined ? undefined : file.report.read(path, line, checkRule)
    return pattern === undefined ? [] : [{ pattern, minAge: 0 }]
  })
}

function readAllowRule(section: Section<AllowShape>, checkRule: Parse): readonly AllowRule[] {
  const right = 'a pattern such as docker.io/library/*'
  const pattern = section.require('image', right, checkRule)
  const minAge = section.read('minAge', parseDuration) ?? 0
  return pattern === undefined ? [] : [{ pattern, minAge }]
}

function readGrants(file: Section<FileShape>, checkRight: Parse): Grants {
  const users = Object.entries(file.shape.grants ?? {})
  if (users.length > 0 && file.isAbsent('htpasswd')) {
    file.report.add(
      file.at('grants'),
      'is about users of the htpasswd file; add htpasswd, or remove it',
    )
  }
  return new Map(
    users.map(([name, shape]) => {
      const section = new Section<GrantsShape>(shape ?? {}, ['grants', name], file.report)
      file.report.read(section.path, name, refuseIllegalUserName)
      return [name, readUserGrants(section, checkRight)]
    }),
  )
}

function readUserGrants(
  section: Section<GrantsShape>,
  checkRight: Parse,
): NonNullable<ReturnType<Grants['get']>> {
  return ROLES.flatMap((role) =>
    section.readList(role, checkRight).map((pattern) => ({ role, pattern })),
  )
}

function refuseIllegalUserName(name: string): void {
  if (USER_NAME.test(name)) return
  throw new InvalidValue(
    'is not the name of a user; it has 1 to 64 letters, digits, dots, dashes, underscores and @, and begins with a letter or digit',
  )
}
