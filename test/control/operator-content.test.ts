import { describe, expect, it } from 'vitest'
import {
  createOperators,
  DIGEST,
  OTHER_DIGEST,
  refused,
  START,
  user,
} from './operator-under-test.ts'

const redis = { upstream: 'docker.io', repository: 'library/redis' }
const digest = DIGEST

describe('approving a digest', () => {
  it('is listed with who, when and why until it is withdrawn', async () => {
    const { as, catalog } = createOperators()
    const alice = as(user('alice', 'operate docker.io/**'))
    const approval = { ...redis, digest, owner: 'alice', reason: 'looked at', createdAt: START }

    expect(await alice.approveDigest(`redis:7@${digest}`, 'looked at')).toEqual(approval)
    expect(await alice.approvals()).toEqual([approval])
    expect(await refused(alice.approveDigest(`redis@${digest}`))).toMatchObject({
      code: 'conflict',
    })
    expect(await alice.withdrawApproval(`docker.io/redis@${digest}`)).toEqual(approval)
    expect(await alice.approvals()).toEqual([])
    expect(await refused(alice.withdrawApproval(`redis@${digest}`))).toMatchObject({
      code: 'not-found',
    })
    const subject = `docker.io/library/redis@${digest}`
    expect(catalog.entries).toMatchObject([
      { action: 'content.approve', subject, after: { reason: 'looked at' } },
      { action: 'content.withdraw', subject, before: { owner: 'alice', reason: 'looked at' } },
    ])
  })
})

describe('a frozen tag', () => {
  it('means a digest, or another one, until it is free again', async () => {
    const { host, catalog } = createOperators()
    const frozen = { ...redis, tag: '7', digest, owner: 'root', reason: 'until 7.4.2' }

    expect(await host().freezeTag(`redis:7@${digest}`, 'until 7.4.2')).toMatchObject(frozen)
    expect(await refused(host().freezeTag(`redis:7@${digest}`))).toMatchObject({ code: 'conflict' })
    expect(await host().freezeTag(`redis:7@${OTHER_DIGEST}`)).toMatchObject({
      digest: OTHER_DIGEST,
    })
    expect(await host().frozenTags()).toHaveLength(1)
    expect(await refused(host().unfreezeTag(`redis:7@${digest}`))).toMatchObject({
      code: 'conflict',
    })
    expect(await host().unfreezeTag('redis:7')).toMatchObject({ digest: OTHER_DIGEST })
    expect(await refused(host().unfreezeTag('redis:7'))).toMatchObject({ code: 'not-found' })
    const subject = 'docker.io/library/redis:7'
    expect(catalog.entries).toMatchObject([
      { action: 'tag.freeze', subject, before: null, after: { digest, reason: 'until 7.4.2' } },
      { action: 'tag.freeze', subject, before: { digest }, after: { digest: OTHER_DIGEST } },
      { action: 'tag.unfreeze', subject, before: { digest: OTHER_DIGEST }, after: null },
    ])
  })
})

describe('content', () => {
  it('is kept apart by registry, repository, tag and digest', async () => {
    const { host } = createOperators()
    await host().approveDigest(`quay.io/team/a@${digest}`)
    await host().freezeTag(`quay.io/team/a:7@${digest}`)
    const others = [
      host().withdrawApproval(`docker.io/team/a@${digest}`),
      host().withdrawApproval(`quay.io/team/b@${digest}`),
      host().withdrawApproval(`quay.io/team/a@${OTHER_DIGEST}`),
      host().unfreezeTag('docker.io/team/a:7'),
      host().unfreezeTag('quay.io/team/b:7'),
      host().unfreezeTag('quay.io/team/a:8'),
    ]

    for (const attempt of others)
      expect(await refused(attempt)).toMatchObject({ code: 'not-found' })
  })

  it('is said with all that is needed', async () => {
    const { host } = createOperators()
    const attempts = [
      host().approveDigest('redis:7'),
      host().withdrawApproval('redis'),
      host().freezeTag('redis:7'),
      host().freezeTag(`redis@${digest}`),
      host().unfreezeTag(`redis@${digest}`),
      host().approveDigest('redis@sha256:abc'),
      host().approveDigest(`ghcr.io/a@${digest}`),
      host().freezeTag(`redis:-@${digest}`),
      host().explain('re dis'),
      host().explain('redis\u0000'),
    ]

    for (const attempt of attempts) {
      const { code, fields } = await refused(attempt)
      expect([code, fields.map(({ path }) => path)]).toEqual(['invalid', ['image']])
    }
    const noted = [
      host().approveDigest(`redis@${digest}`, 'a\nb'),
      host().freezeTag(`redis:7@${digest}`, 'a\nb'),
    ]
    for (const attempt of noted) {
      expect((await refused(attempt)).fields).toMatchObject([{ path: 'reason' }])
    }
  })

  it('is for those who operate its repository', async () => {
    const { host, as } = createOperators()
    await host().approveDigest(`quay.io/a@${digest}`)
    await host().freezeTag(`quay.io/a:7@${digest}`)
    const alice = as(user('alice', 'operate docker.io/**'))
    const attempts = [
      alice.approveDigest(`quay.io/b@${digest}`),
      alice.withdrawApproval(`quay.io/a@${digest}`),
      alice.freezeTag(`quay.io/a:7@${OTHER_DIGEST}`),
      alice.unfreezeTag('quay.io/a:7'),
      alice.explain('quay.io/a'),
    ]

    for (const attempt of attempts)
      expect(await refused(attempt)).toMatchObject({ code: 'forbidden' })
    expect([await alice.approvals(), await alice.frozenTags()]).toEqual([[], []])
    expect(await alice.explain('redis')).toMatchObject({ verdict: 'explained' })
  })
})
