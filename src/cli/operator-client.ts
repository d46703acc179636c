/** The operators' use-cases on a running mirror, over its API. */
import {
  ControlError,
  readPattern,
  type Effect,
  type ListedRule,
  type Operator,
} from '../operator.ts'
import {
  readApproval,
  readAuditEntry,
  readCreatedToken,
  readExplanation,
  readFrozenTag,
  readPrincipal,
  readRequest,
  readRule,
  readToken,
  readUser,
} from './api-answers.ts'
import { type ApiClient } from './api-client.ts'
import { approvalJson, newRuleJson, newTokenJson } from './api-json.ts'
import { readObject } from './json-object.ts'

export function createOperatorClient({ ask, stream }: ApiClient): Operator {
  return {
    whoami: async () => readPrincipal(await ask('GET', '/whoami')),

    rules,
    addRule: async (rule) => readRule(await ask('POST', '/rules', newRuleJson(rule))),
    async removeRule(id, effect) {
      const path = `/rules/${step(await ruleId(id, effect))}`
      return readRule(await ask('DELETE', `${path}${query({ effect })}`))
    },

    requests: async ({ state }) => list('requests', readRequest, `/requests${query({ state })}`),
    approveRequest: async (id, approval) =>
      readRule(await ask('POST', `/requests/${step(id)}/approve`, approvalJson(approval))),
    dismissRequest: async (id, reason) =>
      readRequest(await ask('POST', `/requests/${step(id)}/dismiss`, { reason })),

    explain: async (image) => readExplanation(await ask('GET', `/explain${query({ image })}`)),

    users: async () => list('users', readUser),
    addUser: async (user) => readUser(await ask('POST', '/users', user)),
    setPassword: async (name, password) =>
      readUser(await ask('PUT', `/users/${step(name)}/password`, { password })),
    setGrants: async (name, grants) =>
      readUser(await ask('PUT', `/users/${step(name)}/grants`, { grants })),
    removeUser: async (name) => readUser(await ask('DELETE', `/users/${step(name)}`)),

    tokens: async () => list('tokens', readToken),
    addToken: async (token) => readCreatedToken(await ask('POST', '/tokens', newTokenJson(token))),
    removeToken: async (id) => readToken(await ask('DELETE', `/tokens/${step(id)}`)),

    approvals: async () => list('approvals', readApproval),
    approveDigest: async (image, reason) =>
      readApproval(await ask('POST', '/approvals', { image, reason })),
    withdrawApproval: async (image) =>
      readApproval(await ask('DELETE', `/approvals${query({ image })}`)),
    frozenTags: async () => list('frozenTags', readFrozenTag, '/frozen-tags'),
    freezeTag: async (image, reason) =>
      readFrozenTag(await ask('POST', '/frozen-tags', { image, reason })),
    unfreezeTag: async (image) =>
      readFrozenTag(await ask('DELETE', `/frozen-tags${query({ image })}`)),

    async *audit({ since }) {
      const from = since === undefined ? undefined : new Date(since).toISOString()
      for await (const line of stream(`/audit${query({ since: from })}`)) yield readAuditEntry(line)
    },
  }

  async function list<T>(key: string, read: (item: unknown) => T, path = `/${key}`): Promise<T[]> {
    return readObject(await ask('GET', path)).list(key, read)
  }

  async function rules(filter: Parameters<Operator['rules']>[0]): Promise<ListedRule[]> {
    return list('rules', readRule, `/rules${query(filter)}`)
  }

  /** The API knows a rule by its id alone, operators also by its pattern. Their own come first. */
  async function ruleId(text: string, effect: Effect | undefined): Promise<string> {
    if (!/[/*]/.test(text)) return text
    const found = (await rules({ effect })).filter(({ pattern }) => isSame(pattern, text))
    const rule = found.find(({ origin }) => origin === 'operator') ?? found[0]
    if (rule === undefined) throw new ControlError('not-found', `There is no rule "${text}".`)
    return rule.id
  }
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [readPattern(one), readPattern(other)]
  return a.name === b.name && a.tag === b.tag
}

/**
 * A name or an id as a step of a path. All that there can be needs no escape there.
 * @throws {ControlError} for what none can be
 */
function step(name: string): string {
  if (!/^[A-Za-z0-9._@:-]+$/.test(name)) {
    throw new ControlError(
      'invalid',
      `"${name}" is no name and no id: they are of letters, digits, dots, hyphens, "_", "@" and ":".`,
    )
  }
  return name
}

/** Leaves out what is not said. */
function query(members: Readonly<Record<string, string | undefined>>): string {
  const said = Object.entries(members).flatMap(([key, value]) =>
    value === undefined ? [] : [[key, value] as [string, string]],
  )
  return said.length === 0 ? '' : `?${new URLSearchParams(said).toString()}`
}
