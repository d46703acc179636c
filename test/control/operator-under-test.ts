/** Operators of a mirror of Docker Hub and quay.io, whose clock stands until it is told to go on. */
import { createHash } from 'node:crypto'
import { expect } from 'vitest'
import type { Grant, Principal, Role } from '../../src/access/principal.ts'
import { fileRule, type Rule } from '../../src/access/rule.ts'
import type { Refusal } from '../../src/catalog/control-catalog.ts'
import { parseRule } from '../../src/config/rule.ts'
import type { ControlSettings } from '../../src/control/control.ts'
import { createOperator } from '../../src/control/create-operator.ts'
import { ControlError } from '../../src/control/error.ts'
import type { Explanation } from '../../src/control/explain.ts'
import type { Operator } from '../../src/control/operator.ts'
import { createMemoryControlCatalog } from './memory-control-catalog.ts'

export const DAY = 86_400_000
export const START = Date.parse('2026-03-01T12:00:00Z')
export const DIGEST = `sha256:${'a'.repeat(64)}`
export const OTHER_DIGEST = `sha256:${'b'.repeat(64)}`

const UPSTREAMS = new Set(['docker.io', 'quay.io'])

export interface Settings {
  readonly rules?: readonly Rule[]
  readonly fileUsers?: ReadonlyMap<string, readonly Grant[]>
}

export function createOperators({ rules = [], fileUsers = new Map() }: Settings = {}) {
  const catalog = createMemoryControlCatalog()
  let now = START
  let tokens = 0
  const settings = settingsWith({ rules })
  const dependencies = {
    catalog,
    settings: () => settings,
    fileUsers: () => fileUsers,
    explain: async (image: string) => ({ image, verdict: 'explained' }) as Explanation,
    hashPassword: async (password: string) => hashOf(password),
    problemOfPassword: (password: string) =>
      password.length < 8 ? 'A password has 8 characters at least.' : undefined,
    createApiToken: () => {
      tokens += 1
      const token = `entp_t${tokens}_secret${tokens}`
      return { id: `t${tokens}`, token, secretHash: hashOf(token) }
    },
    now: () => now,
  }
  return {
    catalog,
    settings,
    now: () => now,
    pass: (ms: number) => {
      now += ms
    },
    as: (principal: Principal, address = '192.0.2.7'): Operator =>
      createOperator(dependencies, { principal, address }),
    /** Whoever may write the data folder. */
    host: (): Operator => createOperator(dependencies, { principal: HOST, address: 'local' }),
  }
}

const HOST: Principal = {
  kind: 'host',
  name: 'root',
  grants: [{ role: 'admin', pattern: '**' }],
}

export const ANONYMOUS: Principal = {
  kind: 'anonymous',
  name: 'anonymous',
  grants: [{ role: 'pull', pattern: '**' }],
}

/** @param grants `operate docker.io/**` */
export function user(name: string, ...grants: string[]): Principal {
  return { kind: 'user', name, grants: grants.map(grant) }
}

export function grant(text: string): Grant {
  const [role = '', pattern = ''] = text.split(' ')
  return { role: role as Role, pattern }
}

export function allow(pattern: string, place = 0): Rule {
  return fileRule('allow', pattern, { place })
}

export function deny(pattern: string, place = 0): Rule {
  return fileRule('deny', pattern, { place })
}

export function refusal(id: string, image: Pick<Refusal, 'name'> & Partial<Refusal>): Refusal {
  return {
    id,
    user: undefined,
    address: '192.0.2.50',
    tag: undefined,
    reason: 'rule',
    userAgent: undefined,
    count: 1,
    firstAt: START,
    lastAt: START,
    ...image,
  }
}

export function settingsWith(changed: Partial<ControlSettings>): ControlSettings {
  return {
    routing: { upstreams: UPSTREAMS, hosts: new Map(), defaultUpstream: 'docker.io' },
    rules: [],
    anonymous: ['**'],
    htpasswd: undefined,
    fileGrants: new Map(),
    anonymousStatus: true,
    webhook: undefined,
    checkPattern: (text) => parseRule(text, UPSTREAMS),
    ...changed,
  }
}

/** What it was refused with: always a sentence or more on one line, for people to read. */
export async function refused(attempt: Promise<unknown>): Promise<ControlError> {
  const error: unknown = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(ControlError)
  if (!(error instanceof ControlError)) throw new TypeError('It was not refused.')
  expect(error.message).toMatch(/^[^\s,;].{10,}[^\s,;][.!?]$/u)
  expect(error.message).not.toMatch(/\p{Cc}|undefined|null|\[object| {2}|\.\.$/u)
  expect(error.message.length).toBeLessThan(1200)
  expect(error.fields.length > 0).toBe(error.code === 'invalid')
  return error
}

export function hashOf(secret: string): string {
  return `hash:${createHash('sha256').update(secret).digest('hex')}`
}
