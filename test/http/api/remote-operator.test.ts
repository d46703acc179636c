/** What commands ask of a mirror elsewhere reaches its operator unchanged, and so does what he answers. */
import { describe, expect, it } from 'vitest'
import { createApiClient } from '../../../src/cli/api-client.ts'
import { addressOf } from '../../../src/cli/mirror-address.ts'
import { createOperatorClient } from '../../../src/cli/operator-client.ts'
import { ControlError } from '../../../src/control/error.ts'
import type { Operator } from '../../../src/control/operator.ts'
import {
  createFakeOperator,
  DIGEST,
  EXPIRES_AT,
  EXPLANATION,
  RULE,
  type FakeOperator,
} from './fake-operator.ts'
import { serveApi } from './serve-api.ts'

const IMAGE = `docker.io/library/redis:7@${DIGEST}`
const GRANTS = [{ role: 'operate', pattern: 'quay.io/**' }] as const

const USE_CASES: readonly [string, (operator: Operator) => Promise<unknown>][] = [
  ['whoami', (operator) => operator.whoami()],
  ['rules', (operator) => operator.rules({ effect: 'deny', image: IMAGE })],
  [
    'addRule',
    (operator) =>
      operator.addRule({
        effect: 'allow',
        pattern: '**',
        reason: 'a & b',
        owner: 'bob',
        expiresAt: EXPIRES_AT,
        minAge: 60_000,
      }),
  ],
  [
    'a rule with nothing else to it',
    (operator) => operator.addRule({ effect: 'deny', pattern: '**' }),
  ],
  ['removeRule', (operator) => operator.removeRule('file:allow:0', 'allow')],
  ['requests', (operator) => operator.requests({ state: 'all' })],
  [
    'approveRequest',
    (operator) =>
      operator.approveRequest('r-7f3k', { as: 'pattern', pattern: '**', expiresAt: EXPIRES_AT }),
  ],
  ['dismissRequest', (operator) => operator.dismissRequest('r-7f3k', 'no')],
  ['a dismissal without a word', (operator) => operator.dismissRequest('r-7f3k', undefined)],
  ['explain', (operator) => operator.explain(IMAGE)],
  ['users', (operator) => operator.users()],
  [
    'addUser',
    (operator) => operator.addUser({ name: 'a.b@c', password: 'correct hörse', grants: GRANTS }),
  ],
  ['setPassword', (operator) => operator.setPassword('a.b@c', 'correct horse')],
  ['setGrants', (operator) => operator.setGrants('a.b@c', GRANTS)],
  ['removeUser', (operator) => operator.removeUser('a.b@c')],
  ['tokens', (operator) => operator.tokens()],
  [
    'addToken',
    (operator) => operator.addToken({ name: 'ci', grants: GRANTS, expiresAt: EXPIRES_AT }),
  ],
  ['removeToken', (operator) => operator.removeToken('t1')],
  ['approvals', (operator) => operator.approvals()],
  ['approveDigest', (operator) => operator.approveDigest(IMAGE, 'read')],
  ['withdrawApproval', (operator) => operator.withdrawApproval(IMAGE)],
  ['frozenTags', (operator) => operator.frozenTags()],
  ['freezeTag', (operator) => operator.freezeTag(IMAGE, undefined)],
  ['unfreezeTag', (operator) => operator.unfreezeTag(IMAGE)],
  ['audit', (operator) => collect(operator.audit({ since: EXPIRES_AT }))],
  ['all of the audit', (operator) => collect(operator.audit({}))],
]

/** @returns what the operator at the other end is asked, and what comes back */
async function remotely(
  operator: FakeOperator,
  use: (operator: Operator) => Promise<unknown>,
): Promise<unknown> {
  await using served = await serveApi(operator)
  const { signal } = new AbortController()
  const client = createApiClient(addressOf(served.url), { token: 'admin', signal })
  return await use(createOperatorClient(client))
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = []
  for await (const item of items) collected.push(item)
  return collected
}

describe('an operator elsewhere', () => {
  it.each(USE_CASES)('%s is the same as here', async (_name, use) => {
    const answers = { explain: async () => ({ ...EXPLANATION, rule: PLAIN_RULE }) }
    const [here, there] = [createFakeOperator(answers), createFakeOperator(answers)]
    const expected = await use(here)
    expect(await remotely(there, use)).toEqual(expected)
    expect(there.calls).toEqual(here.calls)
  })

  it('hears why it was refused, and where', async () => {
    const fields = [{ path: 'pattern', message: 'No.' }]
    const refusal = new ControlError('conflict', 'It is there already.', fields)
    const operator = createFakeOperator({ addRule: () => Promise.reject(refusal) })
    const asked = remotely(operator, (remote) => remote.addRule({ effect: 'deny', pattern: '**' }))
    await expect(asked).rejects.toMatchObject({
      name: 'ControlError',
      code: 'conflict',
      message: 'It is there already.',
      fields,
    })
  })
})

const { standing: _, overriddenBy: __, decides: ___, ...PLAIN_RULE } = RULE
