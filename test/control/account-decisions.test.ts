import { describe, expect, it } from 'vitest'
import type {
  ApiTokenRecord,
  ControlState,
  DecisionContext,
  UserRecord,
} from '../../src/catalog/control-catalog.ts'
import { approveDigestDecision, freezeTagDecision } from '../../src/control/content-decisions.ts'
import { addTokenDecision } from '../../src/control/token-decisions.ts'
import { addUserDecision } from '../../src/control/user-decisions.ts'
import { parseDigest } from '../../src/oci/digest.ts'
import { parseRepository, parseTag } from '../../src/oci/reference.ts'
import { DIGEST, grant, OTHER_DIGEST, refused, START, user } from './operator-under-test.ts'

const author = { caller: { principal: user('alice', 'admin **'), address: 'local' }, now: START }
const situation = { author, fileUsers: new Map() }
const grants = [grant('pull **')]

const bob: UserRecord = {
  name: 'bob',
  passwordHash: 'a hash',
  grants,
  createdAt: START,
  passwordSetAt: START,
}
const robot: ApiTokenRecord = {
  id: 't1',
  name: 'ci',
  secretHash: 'a hash',
  grants,
  owner: 'alice',
  createdAt: START,
  expiresAt: undefined,
  isFirst: false,
}
const content = {
  upstream: 'quay.io',
  repository: parseRepository('a'),
  digest: parseDigest(DIGEST),
  owner: 'alice',
  reason: undefined,
  createdAt: START,
}
const frozen = { ...content, tag: parseTag('7') }

function of(state: Partial<ControlState>): DecisionContext {
  const nothing = { rules: [], users: [], tokens: [], approvals: [], frozenTags: [] }
  return { state: { ...nothing, ...state }, request: () => undefined }
}

/** So many that one more may be added, but not two. */
function many<T>(most: number, make: (place: number) => T): T[] {
  return Array.from({ length: most - 1 }, (_, place) => make(place))
}

describe('what every request is judged by, and is held in memory for that, has limits:', () => {
  it('10,000 users', async () => {
    const users = many(10_000, (place) => ({ ...bob, name: `user${place}` }))
    const add = addUserDecision(situation, { name: 'carol', passwordHash: 'a hash', grants })
    const attempt = async () => add(of({ users: [...users, bob] }))

    expect(add(of({ users })).changes).toMatchObject([{ kind: 'put-user' }])
    expect(await refused(attempt())).toMatchObject({ code: 'conflict' })
  })

  it('10,000 tokens, no two of one id', async () => {
    const tokens = many(10_000, (place) => ({ ...robot, id: `x${place}` }))
    const add = addTokenDecision(situation, { ...robot, id: 't2' })
    const attempt = async (known: ApiTokenRecord[]) => add(of({ tokens: known }))

    expect(add(of({ tokens })).changes).toMatchObject([{ kind: 'put-token' }])
    expect(await refused(attempt([...tokens, robot]))).toMatchObject({ code: 'conflict' })
    expect(await refused(attempt([{ ...robot, id: 't2' }]))).toMatchObject({ code: 'conflict' })
  })

  it('20,000 approved digests', async () => {
    const approvals = many(20_000, (place) => ({ ...content, upstream: `u${place}` }))
    const add = approveDigestDecision(author, content, undefined)
    const attempt = async () =>
      add(of({ approvals: [...approvals, { ...content, digest: parseDigest(OTHER_DIGEST) }] }))

    expect(add(of({ approvals })).changes).toMatchObject([{ kind: 'put-approval' }])
    expect(await refused(attempt())).toMatchObject({ code: 'conflict' })
  })

  it('20,000 frozen tags, of which any can be moved', async () => {
    const frozenTags = many(20_000, (place) => ({ ...frozen, upstream: `u${place}` }))
    const add = freezeTagDecision(author, frozen, undefined)
    const attempt = async () =>
      add(of({ frozenTags: [...frozenTags, { ...frozen, tag: parseTag('8') }] }))
    const moved = add(
      of({ frozenTags: [...frozenTags, { ...frozen, digest: parseDigest(OTHER_DIGEST) }] }),
    )

    expect(add(of({ frozenTags })).changes).toMatchObject([{ kind: 'put-frozen-tag' }])
    expect(moved.changes).toMatchObject([{ kind: 'put-frozen-tag' }])
    expect(await refused(attempt())).toMatchObject({ code: 'conflict' })
  })
})
