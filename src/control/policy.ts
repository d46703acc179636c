/** What counts at one moment, made of the configuration and of what operators have decided. */
import { compileRules } from '../access/allowlist.ts'
import type { Grant, Principal } from '../access/principal.ts'
import type { ApiTokenRecord, ControlState } from '../catalog/control-catalog.ts'
import type { ControlSettings, Policy } from './control.ts'
import type { Directory, KnownUser } from './directory.ts'

/** Users of the file, by name, with the hashes of their passwords. */
export type FileUsers = ReadonlyMap<string, string>

/** A policy, and who is known while it counts. */
export interface Moment extends Directory {
  readonly policy: Policy
  /** Milliseconds since the epoch at which something ends; `Infinity`: nothing does. */
  readonly endsAt: number
}

/** Whoever is in the file and not spoken of may pull: that is what such files are made for. */
const FILE_USER: readonly Grant[] = [{ role: 'pull', pattern: '**' }]

/** @param now milliseconds since the epoch */
export function momentOf(
  settings: ControlSettings,
  state: ControlState,
  fileUsers: FileUsers,
  now: number,
): Moment {
  const isOver = ({ expiresAt = Infinity }: { expiresAt?: number | undefined }) => expiresAt <= now
  const rules = [...settings.rules, ...state.rules]
  const users = knownUsers(settings, state, fileUsers)
  const robots = new Map(state.tokens.map((token) => [token.id, token]))
  const anonymous = anonymousOf(settings.anonymous)
  const ends = [...rules, ...state.tokens].filter((it) => !isOver(it)).map(endOf)
  return {
    policy: {
      routing: settings.routing,
      allowlist: compileRules(rules.filter((rule) => !isOver(rule))),
      anonymous,
      asksForLogin: !settings.anonymous.includes('**') || someoneLogsIn(users, state.tokens),
      anonymousStatus: settings.anonymousStatus,
      ...contentOf(state),
    },
    user: (name) => users.get(name),
    robot: (id) => robots.get(id),
    anonymous,
    endsAt: ends.reduce((first, end) => Math.min(first, end), Infinity),
  }
}

export function grantsOfFileUser(settings: ControlSettings, name: string): readonly Grant[] {
  return settings.fileGrants.get(name) ?? FILE_USER
}

/** Of the same name in both, the file's counts: who may write the file decides. */
function knownUsers(
  settings: ControlSettings,
  { users }: ControlState,
  fileUsers: FileUsers,
): ReadonlyMap<string, KnownUser> {
  const ours = users.map(({ name, passwordHash, passwordSetAt, grants }): KnownUser => {
    return { name, passwordHash, grants, version: String(passwordSetAt), origin: 'operator' }
  })
  const theirs = [...fileUsers].map(([name, passwordHash]): KnownUser => {
    const grants = grantsOfFileUser(settings, name)
    return { name, passwordHash, grants, version: passwordHash, origin: 'file' }
  })
  return new Map([...ours, ...theirs].map((user) => [user.name, user]))
}

function anonymousOf(patterns: readonly string[]): Principal {
  const grants = patterns.map((pattern): Grant => ({ role: 'pull', pattern }))
  return { kind: 'anonymous', name: 'anonymous', grants }
}

/** The token of the first start is not for pulling. */
function someoneLogsIn(
  users: ReadonlyMap<string, KnownUser>,
  tokens: readonly ApiTokenRecord[],
): boolean {
  return users.size > 0 || tokens.some(({ isFirst }) => !isFirst)
}

function contentOf({
  approvals,
  frozenTags,
}: ControlState): Pick<Policy, 'isApproved' | 'frozenTo' | 'frozenDigests'> {
  const approved = new Set(approvals.map((it) => `${it.upstream}/${it.repository}@${it.digest}`))
  const frozen = new Map(
    frozenTags.map((it) => [`${it.upstream}/${it.repository}:${it.tag}`, it.digest]),
  )
  return {
    frozenDigests: frozenTags.map(({ digest }) => digest),
    isApproved: (key, digest) =>
      approved.size > 0 && approved.has(`${key.upstream}/${key.repository}@${digest}`),
    frozenTo: (key, tag) =>
      frozen.size > 0 ? frozen.get(`${key.upstream}/${key.repository}:${tag}`) : undefined,
  }
}

function endOf({ expiresAt = Infinity }: { expiresAt?: number | undefined }): number {
  return expiresAt
}
