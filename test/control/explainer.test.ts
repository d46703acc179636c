import { describe, expect, it } from 'vitest'
import { compileRules } from '../../src/access/allowlist.ts'
import { fileRule, type Rule } from '../../src/access/rule.ts'
import type { ContentState } from '../../src/cache/describe.ts'
import type { Policy } from '../../src/control/control.ts'
import { createExplainer } from '../../src/control/explainer.ts'
import { parseDigest, type Digest } from '../../src/oci/digest.ts'

const NOW = Date.UTC(2026, 0, 10)
const HOUR = 3_600_000
const DIGEST = parseDigest(`sha256:${'a'.repeat(64)}`)

const UNKNOWN: ContentState = {
  digest: undefined,
  checkedAt: undefined,
  freshness: undefined,
  isStored: false,
  blobs: { stored: 0, missing: 0, missingBytes: 0 },
  firstSeenAt: undefined,
  upstream: { offline: false, endpoint: 'https://hub', account: 'anonymous', pullsLeft: 10 },
}
const STORED: ContentState = {
  ...UNKNOWN,
  digest: DIGEST,
  checkedAt: NOW,
  freshness: 'fresh',
  isStored: true,
  blobs: { stored: 2, missing: 1, missingBytes: 500 },
  firstSeenAt: NOW - HOUR,
}

describe('explain', () => {
  it('names the rule, and what a first pull costs', async () => {
    const told = await explain('redis:7', { rules: [allow('docker.io/library/*')] })
    expect(told).toMatchObject({
      image: 'docker.io/library/redis:7',
      allowed: true,
      rule: { pattern: 'docker.io/library/*' },
      anonymous: true,
      cost: { heads: 0, pulls: 1, bytes: undefined },
    })
    expect(told.verdict).toBe('Allowed by the file\'s rule "docker.io/library/*".')
  })

  it('means the tag latest where none is said', async () => {
    expect((await explain('redis')).image).toBe('docker.io/library/redis:latest')
  })

  it('says that nothing allows it', async () => {
    expect(await explain('redis:7')).toMatchObject({
      allowed: false,
      rule: undefined,
      verdict: 'Refused: no rule allows it.',
      cost: { heads: 0, pulls: 0, bytes: 0 },
    })
  })

  it('says what denies it', async () => {
    const rules = [allow('docker.io/**'), { ...allow('**:nightly'), effect: 'deny' as const }]
    const told = await explain('redis:nightly', { rules })
    expect(told).toMatchObject({ allowed: false, rule: { pattern: '**:nightly' } })
    expect(told.verdict).toContain('denies it')
  })

  it.each([
    ['fresh and here', {}, { heads: 0, pulls: 0, bytes: 500 }],
    ['to be confirmed', { freshness: 'expired' }, { heads: 1, pulls: 0, bytes: 500 }],
    ['lost', { isStored: false }, { heads: 0, pulls: 1, bytes: undefined }],
    [
      'offline',
      { upstream: { ...UNKNOWN.upstream, offline: true } },
      { heads: 0, pulls: 0, bytes: 0 },
    ],
  ])('tells the cost of what is %s', async (_name, changes, cost) => {
    const state = { ...STORED, ...changes } as ContentState
    expect((await explain('redis:7', { rules: [allow('**')], state })).cost).toEqual(cost)
  })

  it('tells when a probation ends, unless the digest was approved', async () => {
    const rules = [allow('**', 24 * HOUR)]
    const young = await explain('redis:7', { rules, state: STORED })
    expect(young.probationEndsAt).toBe(NOW + 23 * HOUR)
    expect(young.verdict).toContain('2026-01-10T23:00:00.000Z')
    const approved = await explain('redis:7', { rules, state: STORED, approved: DIGEST })
    expect(approved.probationEndsAt).toBeUndefined()
    const old = { ...STORED, firstSeenAt: NOW - 25 * HOUR }
    expect((await explain('redis:7', { rules, state: old })).probationEndsAt).toBeUndefined()
    const beforeItWasNoted = { ...STORED, firstSeenAt: undefined }
    const ancient = await explain('redis:7', { rules, state: beforeItWasNoted })
    expect(ancient.probationEndsAt).toBeUndefined()
    expect((await explain('redis:7', { rules })).probationEndsAt).toBe(NOW + 24 * HOUR)
  })

  it('follows a digest to the tags that lead to it', async () => {
    const rules = [allow('docker.io/library/redis:7')]
    const image = `redis@${DIGEST}`
    expect(await explain(image, { rules, leading: ['7'] })).toMatchObject({ allowed: true })
    expect(await explain(image, { rules, leading: ['8'] })).toMatchObject({ allowed: false })
    expect(await explain(image, { rules, leading: [] })).toMatchObject({ allowed: false })
  })

  it('tells what a tag is frozen to, and asks for no confirmation of it', async () => {
    const state = { ...STORED, freshness: undefined }
    const told = await explain('redis:7', { rules: [allow('**')], state, frozen: DIGEST })
    expect(told).toMatchObject({ frozenTo: DIGEST, cost: { heads: 0, pulls: 0 } })
  })

  it.each(['', 'gcr.io/x/y', 'redis:', 'redis@sha256:1'])(
    'refuses "%s" as invalid',
    async (text) => {
      await expect(explain(text)).rejects.toMatchObject({
        code: 'invalid',
        fields: [{ path: 'image' }],
      })
    },
  )
})

function allow(pattern: string, minAge = 0): Rule {
  return fileRule('allow', pattern, { place: 0, minAge })
}

interface Situation {
  readonly rules?: readonly Rule[]
  readonly state?: ContentState
  readonly leading?: readonly string[]
  readonly approved?: Digest
  readonly frozen?: Digest
}

function explain(image: string, situation: Situation = {}) {
  const { rules = [], state = UNKNOWN, leading = [], approved, frozen } = situation
  const policy: Policy = {
    routing: { upstreams: new Set(['docker.io']), hosts: new Map(), defaultUpstream: 'docker.io' },
    allowlist: compileRules(rules),
    anonymous: {
      kind: 'anonymous',
      name: 'anonymous',
      grants: [{ role: 'pull', pattern: '**' }],
    },
    anonymousStatus: true,
    asksForLogin: false,
    isApproved: (_key, digest) => digest === approved,
    frozenTo: () => frozen,
    frozenDigests: [],
  }
  const content = { describe: async () => state, tagsLeadingTo: async () => leading }
  return createExplainer({ policy: () => policy, content, now: () => NOW })(image)
}
