/** What every catalog of operators must do, whatever database it keeps its rows in. */
import { describe, expect, it } from 'vitest'
import { brokenLink } from '../../src/catalog/audit-chain.ts'
import type { Change, ControlCatalog } from '../../src/catalog/control-catalog.ts'
import { StorageError } from '../../src/storage-error.ts'
import { app, named, other, v1, v2 } from './catalog-records.ts'
import {
  approval,
  auditOf,
  type ControlCatalogUnderTest,
  decision,
  frozenTag,
  make,
  note,
  NOTHING,
  putRule,
  refusal,
  rule,
  ruleIds,
  token,
  user,
} from './control-records.ts'
import { testControlRequests } from './control-requests.ts'

export function testControlCatalog(open: () => Promise<ControlCatalogUnderTest>): void {
  testControlRequests(open)

  describe('the state', () => {
    it('is empty in the beginning', async () => {
      await using under = await open()
      expect(await under.open().state()).toEqual(NOTHING)
    })

    it('is what was put, every field of it, for whoever opens it next', async () => {
      await using under = await open()
      const full = {
        rules: [
          rule('b', { effect: 'deny', reason: 'why', expiresAt: 5, minAge: 86_400_000 }),
          rule('a', { owner: undefined, createdAt: undefined }),
        ],
        users: [user('alice', { grants: [] }), user('bob')],
        tokens: [token('t1'), token('t2', { expiresAt: 9, isFirst: true, createdAt: 2000 })],
        approvals: [approval('one', { reason: 'checked' })],
        frozenTags: [frozenTag('one', { reason: 'until the release' })],
      }
      await make(under.open(), ...changesFor(full))

      expect(await under.open().state()).toEqual(full)
    })

    it('is replaced by name or id, a rule in its place', async () => {
      await using under = await open()
      const catalog = under.open()
      await make(catalog, putRule('a'), putRule('b'), { kind: 'put-user', user: user('alice') })
      await make(
        catalog,
        putRule('a', { effect: 'deny', reason: 'changed' }),
        { kind: 'put-user', user: user('alice', { passwordHash: 'new', grants: [] }) },
        { kind: 'put-token', token: token('t') },
        { kind: 'put-token', token: token('t', { name: 'renamed' }) },
        { kind: 'put-approval', approval: approval('one') },
        { kind: 'put-approval', approval: approval('one', { owner: 'bob' }) },
        { kind: 'put-frozen-tag', frozen: frozenTag('one') },
        { kind: 'put-frozen-tag', frozen: frozenTag('two') },
      )

      expect(await catalog.state()).toEqual({
        rules: [rule('a', { effect: 'deny', reason: 'changed' }), rule('b')],
        users: [user('alice', { passwordHash: 'new', grants: [] })],
        tokens: [token('t', { name: 'renamed' })],
        approvals: [approval('one', { owner: 'bob' })],
        frozenTags: [frozenTag('two')],
      })
    })

    it('loses what is removed, and nothing beside it', async () => {
      await using under = await open()
      const catalog = under.open()
      await make(
        catalog,
        ...changesFor({
          rules: [rule('a'), rule('b')],
          users: [user('alice'), user('bob')],
          tokens: [token('t1'), token('t2')],
          approvals: [approval('one'), approval('two'), approval('one', other)],
          frozenTags: [frozenTag('one'), frozenTag('one', { tag: v2 }), frozenTag('one', other)],
        }),
      )
      await make(
        catalog,
        { kind: 'remove-rule', id: 'a' },
        { kind: 'remove-user', name: 'alice' },
        { kind: 'remove-token', id: 't1' },
        { kind: 'remove-approval', ...app, digest: named('one') },
        { kind: 'remove-frozen-tag', ...app, tag: v1 },
        { kind: 'remove-rule', id: 'unknown' },
      )

      const { rules, users, tokens, approvals, frozenTags } = await catalog.state()
      expect(rules).toEqual([rule('b')])
      expect(users).toEqual([user('bob')])
      expect(tokens).toEqual([token('t2')])
      expect(approvals).toEqual([approval('two'), approval('one', other)])
      expect(frozenTags).toEqual([frozenTag('one', { tag: v2 }), frozenTag('one', other)])
    })
  })

  describe('a change', () => {
    it('is made on the state inside it, and gives what was decided', async () => {
      await using under = await open()
      const [catalog, another] = [under.open(), under.open()]
      await make(catalog, putRule('a'))
      await catalog.noteRefusals([refusal('r-1')])

      const result = await another.change((context) => ({
        ...decision({ kind: 'remove-rule', id: 'a' }),
        result: [
          context.state.rules.map(({ id }) => id),
          context.request('r-1')?.state,
          context.request('r-2'),
        ],
      }))

      expect(result).toEqual([['a'], 'open', undefined])
      expect(await ruleIds(catalog)).toEqual([])
    })

    it('changes nothing, nor says so, when the decision throws', async () => {
      await using under = await open()
      const catalog = under.open()
      const [version, refused] = [catalog.version(), new RangeError('not yours')]

      const changing = catalog.change(() => {
        throw refused
      })

      await expect(changing).rejects.toBe(refused)
      expect(catalog.version()).toBe(version)
      await make(catalog, putRule('next'))
      expect(await ruleIds(catalog)).toEqual(['next'])
    })

    it('that fails halfway leaves nothing of itself', async () => {
      await using under = await open()
      const catalog = under.open()
      const broken = { kind: 'put-user', user: user('eve', { createdAt: 1.5 }) } as const

      const changing = catalog.change(() => ({
        changes: [putRule('a'), broken],
        audit: [note('a')],
        result: undefined,
      }))

      await expect(changing).rejects.toBeInstanceOf(StorageError)
      expect(await catalog.state()).toEqual(NOTHING)
      expect(await auditOf(catalog)).toEqual([])
    })

    it('is never lost, however many are made at once on two connections', async () => {
      await using under = await open()
      const catalogs = [under.open(), under.open()]
      const count = (catalog: ControlCatalog) =>
        catalog.change(({ state }) => {
          const before = state.rules[0]?.minAge ?? 0
          const changes = [putRule('counter', { minAge: before + 1 })]
          return { changes, audit: [note('counter', { before })], result: before }
        })

      const results = await Promise.all(
        Array.from({ length: 100 }, (_, index) => catalogs.map((catalog) => [catalog, index]))
          .flat()
          .map(([catalog]) => count(catalog as ControlCatalog)),
      )

      const all = Array.from({ length: 200 }, (_, index) => index)
      expect(results.toSorted((a, b) => a - b)).toEqual(all)
      for (const catalog of catalogs) {
        expect((await catalog.state()).rules[0]?.minAge).toBe(200)
        const entries = await auditOf(catalog)
        expect(entries.map(({ before }) => before)).toEqual(all)
        expect(brokenLink(entries)).toBeUndefined()
      }
    })
  })

  describe('the version', () => {
    it('changes with each decision, for all who have it open', async () => {
      await using under = await open()
      const [catalog, another] = [under.open(), under.open()]
      const seen = new Set([catalog.version()])
      for (const [index, writer] of [catalog, another, catalog, another].entries()) {
        await make(writer, putRule(`rule${index}`))
        seen.add(catalog.version())
        expect(another.version()).toBe(catalog.version())
      }

      expect(seen.size).toBe(5)
      expect(await ruleIds(catalog)).toHaveLength(4)
      expect(await ruleIds(another)).toHaveLength(4)
    })

    it('stays while nothing is decided, whatever is noted', async () => {
      await using under = await open()
      const [catalog, another] = [under.open(), under.open()]
      await make(another, putRule('a'))
      const version = catalog.version()

      await another.noteRefusals([refusal('r-1')])
      await another.appendAudit([note('eve', { action: 'login.failed' })])
      await another.secret('bearer')
      await another.change(() => ({ ...decision(), audit: [note('nothing')] }))

      expect(catalog.version()).toBe(version)
      expect(another.version()).toBe(version)
    })
  })

  describe('the audit', () => {
    it('is written with the change, in order, each entry chained to the one before', async () => {
      await using under = await open()
      const [catalog, another] = [under.open(), under.open()]
      await catalog.change(() => ({ ...decision(putRule('a')), audit: [note('a'), note('b')] }))
      await another.appendAudit([note('c', { at: 500, before: { z: 1, a: [null] } })])
      await another.appendAudit([])
      await catalog.appendAudit([note('d', { before: undefined, after: 'text' })])

      const entries = await auditOf(catalog)
      expect(entries.map(({ sequence, subject }) => [sequence, subject])).toEqual([
        [1, 'a'],
        [2, 'b'],
        [3, 'c'],
        [4, 'd'],
      ])
      expect(entries[0]).toMatchObject({ ...note('a'), previousHash: '0'.repeat(64) })
      expect(entries[2]?.before).toEqual({ z: 1, a: [null] })
      expect(entries[3]).toMatchObject({ before: null, after: 'text' })
      expect(brokenLink(entries)).toBeUndefined()
      expect(await auditOf(another)).toEqual(entries)
    })

    it('fits whatever is written into it', async () => {
      await using under = await open()
      const catalog = under.open()
      const strange = '\ud800 \u0000 "\\ \u2028 é 日本 \uD83D\uDE00'
      const value = {
        ['__proto__']: strange,
        10: 1,
        9: [1e21, -0, strange],
        nested: { b: 1, a: 2 },
      }
      const record = note(strange, { actor: strange, before: value, after: [strange] })
      await catalog.appendAudit([record, note('next')])

      const entries = await auditOf(catalog)
      expect(entries).toHaveLength(2)
      expect(brokenLink(entries)).toBeUndefined()
    })

    it('is read from a time or an entry on, more than a page of it', async () => {
      await using under = await open()
      const catalog = under.open()
      const records = Array.from({ length: 1200 }, (_, index) => note('n', { at: index % 600 }))
      await catalog.appendAudit(records)

      expect(await auditOf(catalog)).toHaveLength(1200)
      const late = await auditOf(catalog, { since: 500 })
      expect(late.map(({ at }) => at)).toEqual(
        [0, 1].flatMap(() => Array.from({ length: 100 }, (_, index) => 500 + index)),
      )
      expect((await auditOf(catalog, { after: 1198 })).map(({ sequence }) => sequence)).toEqual([
        1199, 1200,
      ])
      expect(await auditOf(catalog, { since: 599, after: 600 })).toHaveLength(1)
      expect(await auditOf(catalog, { after: 1200 })).toEqual([])
    })

    it('is read as far as it went at the beginning, and keeps no writer waiting', async () => {
      await using under = await open()
      const [catalog, another] = [under.open(), under.open()]
      await catalog.appendAudit(Array.from({ length: 600 }, () => note('n')))

      let read = 0
      for await (const entry of catalog.audit({})) {
        read = entry.sequence
        if (read % 100 === 0) await another.appendAudit([note('meanwhile')])
      }

      expect(read).toBe(600)
      expect(await auditOf(catalog)).toHaveLength(606)
    })
  })

  describe('a secret', () => {
    it('is made once, of 32 bytes, and the same for all', async () => {
      await using under = await open()
      const [catalog, another] = [under.open(), under.open()]
      const [one, two] = await Promise.all([catalog.secret('bearer'), another.secret('bearer')])

      expect(one).toHaveLength(32)
      expect(two).toEqual(one)
      expect(await under.open().secret('bearer')).toEqual(one)
      expect(await catalog.secret('request')).not.toEqual(one)
    })
  })

  describe('a catalog that was closed', () => {
    it('fails with a storage error, and may be closed again', async () => {
      await using under = await open()
      const catalog = under.open()
      await catalog.close()
      await catalog.close()

      expect(() => catalog.version()).toThrow(StorageError)
      const calls = [
        catalog.state(),
        catalog.requests({}),
        catalog.noteRefusals([refusal('r')]),
        catalog.appendAudit([note('a')]),
        auditOf(catalog),
        catalog.secret('bearer'),
        make(catalog, putRule('a')),
      ]
      for (const result of await Promise.allSettled(calls)) {
        expect(result).toMatchObject({ status: 'rejected', reason: { name: 'StorageError' } })
      }
    })
  })
}

function changesFor(state: Awaited<ReturnType<ControlCatalog['state']>>): Change[] {
  return [
    ...state.rules.map((rule): Change => ({ kind: 'put-rule', rule })),
    ...state.users.map((user): Change => ({ kind: 'put-user', user })),
    ...state.tokens.map((token): Change => ({ kind: 'put-token', token })),
    ...state.approvals.map((approval): Change => ({ kind: 'put-approval', approval })),
    ...state.frozenTags.map((frozen): Change => ({ kind: 'put-frozen-tag', frozen })),
  ]
}
