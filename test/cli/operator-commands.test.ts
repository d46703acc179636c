/** The operators' commands on the host: what they ask for, what they say, and how they end. */
import { describe, expect, it, vi, beforeEach, afterEach } from 'vitest'
import { createAudit } from '../../src/cli/audit.ts'
import type { Command } from '../../src/cli/command.ts'
import { createContent } from '../../src/cli/content.ts'
import { createExplain } from '../../src/cli/explain.ts'
import type { Input } from '../../src/cli/input.ts'
import { createRequests } from '../../src/cli/requests.ts'
import { createAllow, createDeny } from '../../src/cli/rules.ts'
import { createTokens } from '../../src/cli/tokens.ts'
import { createUsers } from '../../src/cli/users.ts'
import * as api from '../../src/http/api/json.ts'
import { ControlError, type OpenOperator, type Operator } from '../../src/operator.ts'
import { StorageError } from '../../src/storage-error.ts'
import { configFile } from './config-file.ts'
import { fakeOperator } from './fake-operator.ts'
import * as samples from './operator-samples.ts'
import { runCommand, type Ran } from './run-command.ts'

const { DAY, NOW, RULE, FILE_RULE, REQUEST, USER, TOKEN, CREATED, APPROVAL, FROZEN } = samples
const { EXPLANATION, DIGEST, auditChain } = samples
const IMAGE = `docker.io/library/redis@${DIGEST}`
const TAGGED = `docker.io/library/redis:7@${DIGEST}`

const COMMANDS: ReadonlyMap<string, (open: OpenOperator) => Command> = new Map([
  ['allow', createAllow],
  ['deny', createDeny],
  ['requests', createRequests],
  ['explain', createExplain],
  ['users', createUsers],
  ['tokens', createTokens],
  ['content', createContent],
  ['audit', createAudit],
])

beforeEach(() => void vi.useFakeTimers({ now: NOW, toFake: ['Date'] }))
afterEach(() => void vi.useRealTimers())

interface Called extends Ran {
  readonly calls: readonly (readonly unknown[])[]
  readonly data: string
}

/** @param line without the program, and without quoting */
async function call(
  line: string | readonly string[],
  members: Partial<Operator>,
  { input, stop }: { input?: Input; stop?: AbortSignal } = {},
): Promise<Called> {
  const { file, data } = configFile()
  const { open, calls } = fakeOperator(members)
  const [name = '', ...args] = typeof line === 'string' ? line.split(' ') : line
  const command = COMMANDS.get(name)
  if (command === undefined) throw new Error(`There is no ${name}.`)
  const all = [...args, '--config', file]
  return { ...(await runCommand(command(open), all, {}, stop, undefined, input)), calls, data }
}

const piped = (text: string): Input => ({
  isTerminal: false,
  read: async () => text,
  askSecrets: () => Promise.reject(new Error('Nobody is there.')),
})

const typed = (...answers: string[]): Input => ({
  isTerminal: true,
  read: () => Promise.reject(new Error('Nothing is piped in.')),
  askSecrets: async (prompts) => answers.slice(0, prompts.length),
})

const PASSWORD = 'correct horse battery'
const WITH_PASSWORD = { input: piped(`${PASSWORD}\n`) }

/** What is asked for, and what is said to people, line by line with columns set apart. */
const CALLS: readonly {
  line: string | readonly string[]
  members: Partial<Operator>
  asks: readonly (readonly unknown[])[]
  says: readonly string[]
  json: object
  options?: { input: Input }
}[] = [
  {
    line: [
      ...'allow add docker.io/library/* --for 14d --min-age 3d --owner alice'.split(' '),
      '--reason',
      'for the build',
    ],
    members: { addRule: async () => RULE },
    asks: [
      [
        'addRule',
        {
          effect: 'allow',
          pattern: 'docker.io/library/*',
          reason: 'for the build',
          owner: 'alice',
          expiresAt: NOW + 14 * DAY,
          minAge: 3 * DAY,
        },
      ],
    ],
    says: [
      'docker.io/library/* may come in, for content that is known for 3 days, until 2030-02-14T12:00:00Z (14 days) (rule a-x1y2z3).',
    ],
    json: api.listedRuleJson(RULE),
  },
  {
    line: 'allow add quay.io/** --until 2030-02-01',
    members: { addRule: async () => FILE_RULE },
    asks: [
      [
        'addRule',
        {
          effect: 'allow',
          pattern: 'quay.io/**',
          reason: undefined,
          owner: undefined,
          expiresAt: Date.UTC(2030, 1, 1),
          minAge: undefined,
        },
      ],
    ],
    says: [
      'quay.io/** may come in, for ever (rule file:allow:0).',
      'It has no effect: overridden by d-q1w2e3.',
    ],
    json: api.listedRuleJson(FILE_RULE),
  },
  {
    line: 'deny add quay.io/**',
    members: { addRule: async () => ({ ...RULE, effect: 'deny', minAge: 0 }) },
    asks: [
      [
        'addRule',
        {
          effect: 'deny',
          pattern: 'quay.io/**',
          reason: undefined,
          owner: undefined,
          expiresAt: undefined,
        },
      ],
    ],
    says: [
      'docker.io/library/* is kept out, until 2030-02-14T12:00:00Z (14 days) (rule a-x1y2z3).',
    ],
    json: api.listedRuleJson({ ...RULE, effect: 'deny', minAge: 0 }),
  },
  {
    line: 'deny remove quay.io/**',
    members: { removeRule: async () => RULE },
    asks: [['removeRule', 'quay.io/**', 'deny']],
    says: ['Gone: deny docker.io/library/* (rule a-x1y2z3).'],
    json: api.listedRuleJson(RULE),
  },
  {
    line: 'allow list docker.io/library/redis:7',
    members: { rules: async () => [{ ...RULE, decides: true }, FILE_RULE] },
    asks: [['rules', { effect: 'allow', image: 'docker.io/library/redis:7' }]],
    says: [
      'ID | PATTERN | STANDING | UNTIL | MIN AGE | OWNER | REASON',
      'a-x1y2z3 | docker.io/library/* | decides | 2030-02-14T12:00:00Z (14 days) | 3 days | alice | for the build',
      'file:allow:0 | quay.io/** | overridden by d-q1w2e3 | mirrors.yml',
    ],
    json: {
      rules: [api.listedRuleJson({ ...RULE, decides: true }), api.listedRuleJson(FILE_RULE)],
    },
  },
  {
    line: 'deny list',
    members: {
      rules: async () => [{ ...RULE, effect: 'deny', expiresAt: NOW, standing: 'expired' }],
    },
    asks: [['rules', { effect: 'deny', image: undefined }]],
    says: [
      'ID | PATTERN | STANDING | UNTIL | OWNER | REASON',
      'a-x1y2z3 | docker.io/library/* | expired | 2030-01-31T12:00:00Z (over) | alice | for the build',
    ],
    json: {
      rules: [api.listedRuleJson({ ...RULE, effect: 'deny', expiresAt: NOW, standing: 'expired' })],
    },
  },
  {
    line: 'requests',
    members: { requests: async () => [REQUEST] },
    asks: [['requests', { state: 'open' }]],
    says: [
      'ID | IMAGE | WHO | WHY | TIMES | FIRST | LAST | STATE | CLIENT',
      'r-7f3kq2m5xa | docker.io/library/redis:7 | bob at 192.0.2.7 | no rule admits it | 12 | 3 days ago | 3 hours ago | open | containerd/2.0.1',
    ],
    json: { requests: [api.requestJson(REQUEST)] },
  },
  {
    line: 'requests list --all',
    members: {
      requests: async () => [{ ...REQUEST, user: undefined, tag: undefined, reason: 'right' }],
    },
    asks: [['requests', { state: 'all' }]],
    says: [
      expect.anything(),
      expect.stringMatching(/\| docker.io\/library\/redis \| 192.0.2.7 \| no right to it \|/),
    ],
    json: {
      requests: [api.requestJson({ ...REQUEST, user: undefined, tag: undefined, reason: 'right' })],
    },
  },
  {
    line: 'requests approve r-7f3kq2m5xa',
    members: { approveRequest: async () => RULE },
    asks: [
      ['approveRequest', 'r-7f3kq2m5xa', { as: 'exact', expiresAt: undefined, reason: undefined }],
    ],
    says: [expect.stringContaining('may come in')],
    json: api.listedRuleJson(RULE),
  },
  {
    line: 'requests approve r-7f3kq2m5xa --as docker.io/library/* --for 1h --reason asked',
    members: { approveRequest: async () => RULE },
    asks: [
      [
        'approveRequest',
        'r-7f3kq2m5xa',
        {
          as: 'pattern',
          pattern: 'docker.io/library/*',
          expiresAt: NOW + 3600_000,
          reason: 'asked',
        },
      ],
    ],
    says: [expect.stringContaining('may come in')],
    json: api.listedRuleJson(RULE),
  },
  {
    line: 'requests dismiss r-7f3kq2m5xa --reason no',
    members: { dismissRequest: async () => ({ ...REQUEST, state: 'dismissed' }) },
    asks: [['dismissRequest', 'r-7f3kq2m5xa', 'no']],
    says: [expect.stringMatching(/^Dismissed: docker.io\/library\/redis:7 for bob at 192.0.2.7\./)],
    json: api.requestJson({ ...REQUEST, state: 'dismissed' }),
  },
  {
    line: 'explain docker.io/library/redis:7',
    members: { explain: async () => EXPLANATION },
    asks: [['explain', 'docker.io/library/redis:7']],
    says: [
      'image | docker.io/library/redis:7',
      'route | docker.io, repository library/redis',
      'pull | allowed',
      'rule | allow docker.io/library/* (rule a-x1y2z3)',
      'without a user | yes',
      'probation | until 2030-02-01T12:00:00Z (24 hours)',
      `here | ${DIGEST}: 5 blobs stored, 2 blobs missing (3.0 MiB)`,
      'checked | 3 hours ago: checked upstream first',
      'first seen | 2030-01-26T12:00:00Z (5 days ago)',
      'asks | https://registry-1.docker.io as credentials[0], 17 pulls left',
      'cost | 1 question, 0 pulls, 3.0 MiB',
      '',
      'It is served from what is stored.',
    ],
    json: api.explanationJson(EXPLANATION),
  },
  {
    line: 'users list',
    members: { users: async () => [USER, { ...USER, origin: 'file', createdAt: undefined }] },
    asks: [['users']],
    says: [
      'NAME | FILE | SINCE | MAY',
      'alice | 2030-01-30T12:00:00Z | operate docker.io/**, pull **',
      'alice | htpasswd | operate docker.io/**, pull **',
    ],
    json: {
      users: [api.userJson(USER), api.userJson({ ...USER, origin: 'file', createdAt: undefined })],
    },
  },
  {
    line: 'users add alice --grant operate=docker.io/** --grant pull=** --password-stdin',
    members: { addUser: async () => USER },
    options: WITH_PASSWORD,
    asks: [['addUser', { name: 'alice', password: PASSWORD, grants: USER.grants }]],
    says: ['Added. alice may: operate docker.io/**, pull **.'],
    json: api.userJson(USER),
  },
  {
    line: 'users add alice --password-stdin',
    members: { addUser: async () => USER },
    options: { input: piped(`${PASSWORD}\r\n`) },
    asks: [
      ['addUser', { name: 'alice', password: PASSWORD, grants: [{ role: 'pull', pattern: '**' }] }],
    ],
    says: [expect.anything()],
    json: api.userJson(USER),
  },
  {
    line: 'users passwd alice',
    members: { setPassword: async () => USER },
    options: { input: typed(PASSWORD, PASSWORD) },
    asks: [['setPassword', 'alice', PASSWORD]],
    says: ['The password of alice is set; the old one no longer counts.'],
    json: api.userJson(USER),
  },
  {
    line: 'users grant alice --grant admin=**',
    members: { setGrants: async () => ({ ...USER, grants: [] }) },
    asks: [['setGrants', 'alice', [{ role: 'admin', pattern: '**' }]]],
    says: ['alice may: nothing.'],
    json: api.userJson({ ...USER, grants: [] }),
  },
  {
    line: 'users remove alice',
    members: { removeUser: async () => USER },
    asks: [['removeUser', 'alice']],
    says: ['Gone: alice can no longer log in.'],
    json: api.userJson(USER),
  },
  {
    line: 'tokens list',
    members: { tokens: async () => [TOKEN] },
    asks: [['tokens']],
    says: [
      'ID | NAME | OWNER | SINCE | UNTIL | MAY',
      't7f3k | ci | alice | 2030-01-30T12:00:00Z | 2030-05-01T12:00:00Z (90 days) | pull **',
    ],
    json: { tokens: [api.tokenJson(TOKEN)] },
  },
  {
    line: 'tokens add ci --for 90d',
    members: { addToken: async () => CREATED },
    asks: [
      [
        'addToken',
        { name: 'ci', grants: [{ role: 'pull', pattern: '**' }], expiresAt: NOW + 90 * DAY },
      ],
    ],
    says: ['entp_t7f3k_verysecret'],
    json: api.createdTokenJson(CREATED),
  },
  {
    line: 'tokens remove t7f3k',
    members: { removeToken: async () => TOKEN },
    asks: [['removeToken', 't7f3k']],
    says: ['Gone: the token t7f3k of ci no longer counts.'],
    json: api.tokenJson(TOKEN),
  },
  {
    line: 'content list',
    members: { approvals: async () => [APPROVAL], frozenTags: async () => [FROZEN] },
    asks: [['approvals'], ['frozenTags']],
    says: [
      'APPROVED | OWNER | SINCE | REASON',
      `${IMAGE} | alice | 2030-01-30T12:00:00Z | looked at`,
      '',
      'FROZEN | TO | OWNER | SINCE | REASON',
      `docker.io/library/redis:7 | ${DIGEST} | alice | 2030-01-30T12:00:00Z`,
    ],
    json: { approvals: [api.approvalJson(APPROVAL)], frozenTags: [api.frozenTagJson(FROZEN)] },
  },
  {
    line: `content approve ${IMAGE} --reason tested`,
    members: { approveDigest: async () => APPROVAL },
    asks: [['approveDigest', IMAGE, 'tested']],
    says: [`${IMAGE} is served, however young it is.`],
    json: api.approvalJson(APPROVAL),
  },
  {
    line: `content withdraw ${IMAGE}`,
    members: { withdrawApproval: async () => APPROVAL },
    asks: [['withdrawApproval', IMAGE]],
    says: [`${IMAGE} has to wait like any other.`],
    json: api.approvalJson(APPROVAL),
  },
  {
    line: `content freeze ${TAGGED} --reason tested`,
    members: { freezeTag: async () => FROZEN },
    asks: [['freezeTag', TAGGED, 'tested']],
    says: [`docker.io/library/redis:7 means ${DIGEST}, whatever upstream says.`],
    json: api.frozenTagJson(FROZEN),
  },
  {
    line: 'content unfreeze docker.io/library/redis:7',
    members: { unfreezeTag: async () => FROZEN },
    asks: [['unfreezeTag', 'docker.io/library/redis:7']],
    says: ['docker.io/library/redis:7 follows upstream again.'],
    json: api.frozenTagJson(FROZEN),
  },
  {
    line: 'audit --verify',
    members: { audit: () => listed(auditChain(3)) },
    asks: [['audit', {}]],
    says: ['3 entries: all as they were written.'],
    json: { entries: 3 },
  },
]

describe.each(CALLS)('entrepot $line', ({ line, members, asks, says, json, options }) => {
  it('asks for it, and says what holds now', async () => {
    const { code, out, error, calls, data } = await call(line, members, options)
    expect(code).toBe(0)
    expect(calls).toEqual([['open', data], ...asks, ['close']])
    expect(out.split('\n').map((it) => it.replaceAll(/ {2,}/g, ' | '))).toEqual(says)
    expect(error.replace(/^ci \(token t7f3k\) may: .* The token is told this once:$/, '')).toBe('')
  })

  it('prints with --json what the API would', async () => {
    const words = typeof line === 'string' ? line.split(' ') : line
    const { code, out, error } = await call([...words, '--json'], members, options)
    expect([code, error]).toEqual([0, ''])
    expect(JSON.parse(out)).toEqual(JSON.parse(JSON.stringify(json)))
  })
})

describe('entrepot audit', () => {
  it('prints an entry a line, from when it is asked to', async () => {
    const entries = auditChain(2)
    const { code, out, calls } = await call('audit --since 7d', { audit: () => listed(entries) })
    expect([code, calls[1]]).toEqual([0, ['audit', { since: NOW - 7 * DAY }]])
    expect(out.split('\n').map((it) => JSON.parse(it) as unknown)).toEqual(
      entries.map((it) => JSON.parse(JSON.stringify(api.auditJson(it))) as unknown),
    )
    const { calls: others } = await call('audit --since 2030-01-30T12:00:00+01:00', {
      audit: () => listed([]),
    })
    expect(others[1]).toEqual(['audit', { since: Date.UTC(2030, 0, 30, 11) }])
  })

  it.each([
    ['changed', (entries: readonly unknown[]) => entries, 2],
    ['removed', (entries: readonly unknown[]) => entries.slice(1), 2],
  ])('ends with 1 where an entry was %s', async (what, spoil, at) => {
    const chain = auditChain(4).map((it) =>
      it.sequence === 2 && what === 'changed' ? { ...it, subject: 'something else' } : it,
    )
    const members = { audit: () => listed(spoil(chain) as typeof chain) }
    const said = await call('audit --verify', members)
    expect([said.code, said.out]).toEqual([1, expect.stringContaining(`Entry ${at} is not as it`)])
    const data = await call('audit --verify --json', members)
    expect([data.code, JSON.parse(data.out)]).toEqual([
      1,
      { entries: what === 'changed' ? 1 : 0, brokenAt: at },
    ])
  })

  it('ends when it is told to', async () => {
    const stop = new AbortController()
    const { code, out, calls } = await call(
      'audit',
      {
        async *audit() {
          for (const entry of auditChain(10)) {
            if (entry.sequence === 3) stop.abort()
            yield entry
          }
        },
      },
      { stop: stop.signal },
    )
    expect([code, out.split('\n').length, calls.at(-1)]).toEqual([1, 2, ['close']])
  })
})

describe('a mistake', () => {
  it.each([
    ['allow', /^Say one of these: allow add\|remove\|list$/],
    ['allow grant x', /^Say one of these/],
    ['requests constructor', /^Say one of these: requests list\|approve\|dismiss$/],
    ['allow add', /entrepot allow add PATTERN/],
    ['allow add a b', /entrepot allow add PATTERN/],
    ['users add alice hush', /^(?!.*hush).*entrepot users add NAME/],
    ['users add alice --password=hush', /^(?!.*hush).*--password/],
    ['users add alice --password hush', /^(?!.*hush).*--password/],
    ['deny add x --min-age 3d', /--min-age/],
    ['allow add x --for 14x', /^--for "14x" is not a duration/],
    ['allow add x --for 999999999999d', /^--for "?.*(too long|not a duration)/],
    ['allow add x --for 1d --until 2030-02-01', /not both/],
    ['allow add x --until 2030-02-30', /^--until "2030-02-30" is not a time/],
    ['allow add x --until tomorrow', /^--until "tomorrow" is not a time/],
    ['allow add x --until 2030-02-01T12:00:00', /is not a time/],
    ['allow add x --min-age soon', /^--min-age "soon" is not a duration/],
    ['allow add x --for', /--for/],
    ['allow add x --for --json', /--for/],
    ['allow list --config', /--config/],
    ['users add alice --grant pull', /^--grant "pull" is not a grant/],
    ['users add alice --grant root=**', /is not a grant/],
    ['users grant alice', /--grant role=pattern/],
    ['users add alice', /--password-stdin/],
    ['audit --since yesterday', /is not a duration.*or a time/],
    ['audit --since 2030-13-01', /is not a time/],
    ['audit --verify --since 1d', /leave --since out/],
    ['explain --token-file x image', /--token-file goes with --server/],
  ])('as in "%s" ends with 2 and one line, before anything is opened', async (line, sentence) => {
    const { code, out, error, calls } = await call(line, {})
    expect([code, out, calls]).toEqual([2, '', []])
    expect(error).toMatch(sentence)
    expect(error).not.toContain('\n')
  })

  it('of an empty name is one', async () => {
    expect(await call(['users', 'remove', ''], {})).toMatchObject({ code: 2, calls: [] })
  })

  it.each([
    ['that differ', typed(PASSWORD, 'another'), '', /differ/],
    ['that a terminal would show', typed(PASSWORD), ' --password-stdin', /leave it out/],
  ])('of passwords %s changes nothing', async (_what, input, more, sentence) => {
    const ran = await call(`users passwd alice${more}`, {}, { input })
    expect([ran.code, ran.calls]).toEqual([2, []])
    expect(ran.error).toMatch(sentence)
    expect(ran.error).not.toContain(PASSWORD)
  })
})

describe('what goes wrong', () => {
  const failing = (reason: Error): Partial<Operator> => ({
    rules: async () => {
      throw reason
    },
  })

  it.each([
    ['invalid', 2],
    ['not-found', 1],
    ['conflict', 1],
    ['last-admin', 1],
    ['forbidden', 1],
    ['unauthenticated', 1],
  ] as const)('is said in one line: %s', async (reason, expected) => {
    const refusal = new ControlError(reason, 'This cannot\nbe.\u001b[2J', [
      { path: 'pattern', message: 'has two\r\nstars' },
    ])
    const { code, out, error, calls } = await call('allow list', failing(refusal))
    expect([code, out]).toEqual([expected, ''])
    expect(error).toBe('This cannot?be.?[2J (pattern: has two??stars)')
    expect(calls.at(-1)).toEqual(['close'])
  })

  it('is not said twice', async () => {
    const fields = [{ path: 'pattern', message: 'has two stars' }]
    const refusal = new ControlError('invalid', 'The pattern has two stars.', fields)
    const { error } = await call('allow list', failing(refusal))
    expect(error).toBe('The pattern has two stars.')
  })

  it('closes what was opened', async () => {
    const { code, error, calls } = await call(
      'allow list',
      failing(new StorageError('broken', 'The disk failed.')),
    )
    expect([code, error, calls.at(-1)]).toEqual([1, 'The disk failed.', ['close']])
  })
})

describe('what people read', () => {
  const HOSTILE = 'a\u001b[2J\u009b2J\r\nb\u202ec\u0007\u2028'
  /** Every text but what only a few words can be. */
  const hostile = <T>(value: T): T => {
    const members = Object.entries(value as object).map(([key, member]) => [
      key,
      typeof member === 'string' && !KEPT.has(key) ? HOSTILE : member,
    ])
    return Object.fromEntries(members) as T
  }
  const KEPT = new Set(['effect', 'origin', 'standing', 'state', 'freshness', 'role'])
  const rule = hostile(RULE)
  const grants = [{ role: 'pull' as const, pattern: HOSTILE }]
  const members: Partial<Operator> = {
    rules: async () => [rule, { ...rule, standing: 'overridden', overriddenBy: HOSTILE }],
    addRule: async () => rule,
    removeRule: async () => rule,
    requests: async () => [{ ...hostile(REQUEST), reason: 'rule' }],
    approveRequest: async () => rule,
    dismissRequest: async () => hostile(REQUEST),
    explain: async () => ({
      ...hostile({ ...EXPLANATION, frozenTo: HOSTILE }),
      rule,
      content: {
        ...EXPLANATION.content,
        upstream: { offline: false, endpoint: HOSTILE, account: HOSTILE, pullsLeft: 1 },
      },
    }),
    users: async () => [{ ...hostile(USER), grants }],
    addUser: async () => ({ ...hostile(USER), grants }),
    setPassword: async () => hostile(USER),
    setGrants: async () => ({ ...hostile(USER), grants }),
    removeUser: async () => hostile(USER),
    tokens: async () => [{ ...hostile(TOKEN), grants }],
    addToken: async () => ({ ...hostile(CREATED), grants }),
    removeToken: async () => hostile(TOKEN),
    approvals: async () => [hostile(APPROVAL)],
    approveDigest: async () => hostile(APPROVAL),
    withdrawApproval: async () => hostile(APPROVAL),
    frozenTags: async () => [hostile(FROZEN)],
    freezeTag: async () => hostile(FROZEN),
    unfreezeTag: async () => hostile(FROZEN),
    audit: () => listed([{ ...hostile(auditChain(1)[0]), after: { note: HOSTILE } } as never]),
  }

  it.each(CALLS.map(({ line, options }) => ({ line, options })))(
    'does not move the cursor: $line',
    async ({ line, options }) => {
      const words = typeof line === 'string' ? line.split(' ') : line
      for (const args of [words, [...words, '--json']]) {
        const { out, error } = await call(args, members, options)
        expect(out).not.toBe('')
        expect(`${out}${error}`.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\u2028]/u)
      }
    },
  )

  it('is in JSON what it was', async () => {
    const { out } = await call('allow list --json', members)
    expect(JSON.parse(out)).toMatchObject({ rules: [{ pattern: HOSTILE }, {}] })
    const { out: line } = await call('audit', members)
    expect(JSON.parse(line)).toMatchObject({ after: { note: HOSTILE } })
    expect(line).not.toMatch(/[\p{Cc}\p{Cf}\u2028]/u)
  })

  it.each([
    ['allow list', { rules: async () => [] }, 'There is no allow rule.'],
    ['deny list quay.io/x', { rules: async () => [] }, 'There is no deny rule about quay.io/x.'],
    ['requests', { requests: async () => [] }, 'Nobody asks for anything.'],
    ['users list', { users: async () => [] }, 'There are no users.'],
    ['tokens list', { tokens: async () => [] }, 'There are no tokens.'],
    [
      'content list',
      { approvals: async () => [], frozenTags: async () => [] },
      'No digest is approved.\n\nNo tag is frozen.',
    ],
  ])('says so where there is nothing: %s', async (line, empty: Partial<Operator>, sentence) => {
    expect(await call(line, empty)).toMatchObject({ code: 0, out: sentence })
  })

  it('explains what is not known, and what need not be', async () => {
    const unknown = {
      ...EXPLANATION,
      allowed: false,
      rule: undefined,
      anonymous: false,
      probationEndsAt: NOW - DAY,
      content: {
        digest: undefined,
        checkedAt: undefined,
        freshness: undefined,
        isStored: false,
        blobs: { stored: 0, missing: 0, missingBytes: 0 },
        firstSeenAt: 0,
        upstream: undefined,
      },
      cost: { heads: 0, pulls: 1, bytes: undefined },
    }
    const { out } = await call('explain x', { explain: async () => unknown })
    for (const fact of [
      /^pull +refused$/m,
      /^rule +none is about it$/m,
      /^without a user +no: /m,
      /^probation +has ended$/m,
      /^here +nothing is known of it$/m,
      /^checked +never$/m,
      /^first seen +long ago$/m,
      /^asks +only the running mirror knows: ask it with --server$/m,
      /^cost +0 questions, 1 pull, size not known/m,
    ]) {
      expect(out).toMatch(fact)
    }
    const frozen = {
      ...EXPLANATION,
      frozenTo: DIGEST,
      content: {
        ...EXPLANATION.content,
        isStored: false,
        upstream: { offline: true, endpoint: undefined, account: undefined, pullsLeft: undefined },
      },
    }
    const { out: other } = await call('explain x', { explain: async () => frozen })
    expect(other).toMatch(/^frozen to +sha256:/m)
    expect(other).toMatch(/^checked +need not be/m)
    expect(other).toMatch(/^here +sha256:\w+: its manifest is not stored$/m)
    expect(other).toMatch(/^asks +nobody: it is offline$/m)
  })
})

async function* listed<T>(items: readonly T[]): AsyncIterable<T> {
  yield* items
}
