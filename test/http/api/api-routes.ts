/** Every route of the API, with a request that it grants. */
import type { Action } from '../../../src/access/authorize.ts'
import { CREATED_AT, DIGEST, EXPIRES_AT } from './fake-operator.ts'

export interface ApiRoute {
  readonly method: string
  /** As the description calls it. */
  readonly path: string
  /** What is done by it. */
  readonly action: Action
  /** A request for it. */
  readonly target: string
  readonly json?: unknown
  readonly status: number
  /** What the operator is asked; `undefined`: nothing. */
  readonly call?: readonly unknown[]
}

const IMAGE = 'docker.io/library/redis:7'
const WITH_DIGEST = `${IMAGE}@${DIGEST}`
const GRANTS = [{ role: 'operate', pattern: 'quay.io/**' }]

export const API_ROUTES: readonly ApiRoute[] = [
  { ...reading('public', '/whoami'), call: ['whoami'] },
  {
    ...reading('rules.read', '/rules', '?effect=allow&image=docker.io%2Flibrary%2Fredis:7'),
    call: ['rules', { effect: 'allow', image: IMAGE }],
  },
  {
    ...writing('rules.write', 'POST', '/rules', '/rules'),
    json: {
      effect: 'allow',
      pattern: 'docker.io/library/*',
      reason: 'why',
      owner: 'bob',
      expiresAt: '2026-02-14T13:00:00+01:00',
      minAgeSeconds: 60,
    },
    status: 201,
    call: [
      'addRule',
      {
        effect: 'allow',
        pattern: 'docker.io/library/*',
        reason: 'why',
        owner: 'bob',
        expiresAt: EXPIRES_AT,
        minAge: 60_000,
      },
    ],
  },
  {
    ...writing('rules.write', 'DELETE', '/rules/{id}', '/rules/file:allow:0?effect=allow'),
    call: ['removeRule', 'file:allow:0', 'allow'],
  },
  { ...reading('requests.read', '/requests', '?state=all'), call: ['requests', { state: 'all' }] },
  {
    ...writing('requests.decide', 'POST', '/requests/{id}/approve', '/requests/r-7f3k/approve'),
    json: { as: 'pattern', pattern: 'quay.io/**', expiresAt: '2026-01-31T12:00:00Z' },
    call: [
      'approveRequest',
      'r-7f3k',
      { as: 'pattern', pattern: 'quay.io/**', expiresAt: CREATED_AT },
    ],
  },
  {
    ...writing('requests.decide', 'POST', '/requests/{id}/dismiss', '/requests/r-7f3k/dismiss'),
    json: { reason: 'no' },
    call: ['dismissRequest', 'r-7f3k', 'no'],
  },
  { ...reading('explain', '/explain', `?image=${IMAGE}`), call: ['explain', IMAGE] },
  { ...reading('users.read', '/users'), call: ['users'] },
  {
    ...writing('users.write', 'POST', '/users', '/users'),
    json: { name: 'alice', password: 'correct horse', grants: GRANTS },
    status: 201,
    call: ['addUser', { name: 'alice', password: 'correct horse', grants: GRANTS }],
  },
  {
    ...writing('password.write', 'PUT', '/users/{name}/password', '/users/a.b_c-d@e/password'),
    json: { password: 'correct horse' },
    call: ['setPassword', 'a.b_c-d@e', 'correct horse'],
  },
  {
    ...writing('users.write', 'PUT', '/users/{name}/grants', '/users/alice/grants'),
    json: { grants: GRANTS },
    call: ['setGrants', 'alice', GRANTS],
  },
  {
    ...writing('users.write', 'DELETE', '/users/{name}', '/users/alice'),
    call: ['removeUser', 'alice'],
  },
  { ...reading('tokens.read', '/tokens'), call: ['tokens'] },
  {
    ...writing('tokens.write', 'POST', '/tokens', '/tokens'),
    json: { name: 'ci', grants: GRANTS, expiresAt: '2026-01-31T12:00:00.000Z' },
    status: 201,
    call: ['addToken', { name: 'ci', grants: GRANTS, expiresAt: CREATED_AT }],
  },
  {
    ...writing('tokens.write', 'DELETE', '/tokens/{id}', '/tokens/t1'),
    call: ['removeToken', 't1'],
  },
  { ...reading('content.read', '/approvals'), call: ['approvals'] },
  {
    ...writing('content.write', 'POST', '/approvals', '/approvals'),
    json: { image: WITH_DIGEST, reason: 'read it' },
    status: 201,
    call: ['approveDigest', WITH_DIGEST, 'read it'],
  },
  {
    ...writing('content.write', 'DELETE', '/approvals', `/approvals?image=${WITH_DIGEST}`),
    call: ['withdrawApproval', WITH_DIGEST],
  },
  { ...reading('content.read', '/frozen-tags'), call: ['frozenTags'] },
  {
    ...writing('content.write', 'POST', '/frozen-tags', '/frozen-tags'),
    json: { image: WITH_DIGEST },
    status: 201,
    call: ['freezeTag', WITH_DIGEST, undefined],
  },
  {
    ...writing('content.write', 'DELETE', '/frozen-tags', `/frozen-tags?image=${IMAGE}`),
    call: ['unfreezeTag', IMAGE],
  },
  {
    ...reading('audit.read', '/audit', '?since=2026-01-31T12:00:00Z'),
    call: ['audit', { since: CREATED_AT }],
  },
  {
    ...writing('warm', 'POST', '/warm', '/warm'),
    json: { images: [IMAGE], dryRun: true },
    call: ['explain', IMAGE],
  },
  reading('log.level', '/log-level'),
  {
    ...writing('log.level', 'PUT', '/log-level', '/log-level'),
    json: { level: 'debug' },
  },
  writing('log.level', 'DELETE', '/log-level', '/log-level'),
]

function reading(action: Action, path: string, query = '') {
  return { action, method: 'GET', path, target: path + query, status: 200 }
}

function writing(action: Action, method: string, path: string, target: string) {
  return { action, method, path, target, status: 200 }
}
