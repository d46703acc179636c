/** Who may pull what after each edit, by the plain reference and without anything of the program. */
import { type Right, type WrittenRule, judged, may } from './access/reference.ts'

export interface KnownUser {
  readonly password: string
  /** Another number each time that the password is set: tokens from before end. */
  readonly version: number
  readonly rights: readonly Right[]
}

/** What operators have decided, at one moment. */
export interface Standing {
  /** Those of the file among them. */
  readonly rules: readonly WrittenRule[]
  readonly users: ReadonlyMap<string, KnownUser>
  /** By the id of their token. */
  readonly robots: ReadonlyMap<string, readonly Right[]>
}

export type Credential =
  | { readonly kind: 'none' }
  | { readonly kind: 'password'; readonly user: string; readonly password: string }
  | {
      readonly kind: 'bearer'
      readonly user: string
      readonly version: number
      readonly token: string
    }
  | { readonly kind: 'robot'; readonly id: string; readonly token: string }

export type Question =
  | { readonly kind: 'ping' }
  | { readonly kind: 'token' }
  | { readonly kind: 'tags'; readonly name: string; readonly tags: readonly string[] }
  | {
      readonly kind: 'tag' | 'digest' | 'blob'
      readonly method: 'GET' | 'HEAD'
      /** `<upstream>/<repository>` */
      readonly name: string
      readonly reference: string
      /** Tags that lead to it; of a tag, itself. */
      readonly leading: readonly string[]
      /** Of the bytes that a GET brings. */
      readonly digest: string
    }

/** What everybody may pull, by the file. */
export const ANONYMOUS: readonly Right[] = [{ role: 'pull', pattern: 'docker.io/**' }]

/**
 * @returns `served` with the tags that are told where it is a list, `refused` because of the rules or of the
 * rights of somebody who is known, or `login` where it takes somebody who is known
 */
export function verdictOf(standing: Standing, credential: Credential, question: Question): string {
  const known = rightsOf(standing, credential)
  if (question.kind === 'ping') return known === undefined ? 'login' : 'served'
  if (question.kind === 'token') {
    return known === undefined && credential.kind !== 'none' ? 'login' : 'served'
  }
  const { name } = question
  if (!may([...ANONYMOUS, ...(known ?? [])], 'pull', name)) {
    return known === undefined ? 'login' : 'refused'
  }
  if (question.kind === 'tags') return tagsVerdict(standing, question)
  return admits(standing, question) ? 'served' : 'refused'
}

/** @returns `undefined` for nobody, and for who is no longer known */
function rightsOf(standing: Standing, credential: Credential): readonly Right[] | undefined {
  switch (credential.kind) {
    case 'none':
      return undefined
    case 'robot':
      return standing.robots.get(credential.id)
    case 'password': {
      const user = standing.users.get(credential.user)
      return user?.password === credential.password ? user.rights : undefined
    }
    case 'bearer': {
      const user = standing.users.get(credential.user)
      return user?.version === credential.version ? user.rights : undefined
    }
  }
}

function tagsVerdict(
  standing: Standing,
  { name, tags }: Extract<Question, { kind: 'tags' }>,
): string {
  if (judge(standing, name, '').refused) return 'refused'
  return `served ${tags.filter((tag) => judge(standing, name, tag).admitted).join()}`
}

/** A digest may come in where a tag that leads to it may, or where it is not only refused tags that do. */
function admits(
  standing: Standing,
  { kind, name, reference, leading }: Extract<Question, { leading: unknown }>,
): boolean {
  if (kind === 'tag') return judge(standing, name, reference).admitted
  const { refused, admitsAnyDigest } = judge(standing, name, '')
  if (refused) return false
  const ofTags = leading.map((tag) => judge(standing, name, tag))
  return admitsAnyDigest
    ? ofTags.length === 0 || ofTags.some(({ refusesTag }) => !refusesTag)
    : ofTags.some(({ admitted }) => admitted)
}

type Judgement = ReturnType<typeof judged>

/** The reference is slow, and the same is asked again and again. */
const known = new WeakMap<readonly WrittenRule[], Map<string, Judgement>>()

/** No rule here ends by itself. */
function judge({ rules }: Standing, name: string, tag: string): Judgement {
  const ofRules = known.get(rules) ?? new Map<string, Judgement>()
  known.set(rules, ofRules)
  const found = ofRules.get(`${name}:${tag}`) ?? judged(rules, { name, tag, now: 0 })
  ofRules.set(`${name}:${tag}`, found)
  return found
}
