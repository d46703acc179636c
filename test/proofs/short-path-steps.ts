/** Steps by chance: pulls, again and again, and whatever may make an earlier answer wrong. */
import { createHash } from 'node:crypto'
import { expect } from 'vitest'
import type { Operator } from '../../src/operator.ts'
import { basic, bearer, type Headers } from '../support/people.ts'
import type { Chance } from './chance.ts'
import { createEditor, type Edit, isConflict } from './live-edits-edits.ts'
import { type Credential, type Question, type Standing, verdictOf } from './live-edits-model.ts'
import { writtenRule } from './live-edits-world.ts'
import { type Answer, FILE_ALLOW, MOVING, type Twins, type World } from './short-path-world.ts'

/** What is shown to each of the two; only tokens differ. */
interface Shown {
  readonly credential: Credential
  readonly headers: Twins<Headers>
}

type Pull = Extract<Question, { leading: unknown }>

interface Asked {
  readonly shown: Shown
  readonly question: Pull
}

export interface History {
  /** Answers by `<what> as <who>: <verdict>`. */
  readonly counts: ReadonlyMap<string, number>
  /** Answers to what was asked before the last step, that this has changed; by `<step>: <verdict>`. */
  readonly changed: ReadonlyMap<string, number>
  step(): Promise<void>
}

/** Asked again at once, so often. */
const TIMES = 2
/** Of what was asked last, so many are asked again after everything that changes something. */
const REMEMBERED = 3
/** Callers of whom something is in memory when users or what they may do are edited. */
const WARMED = 2
const CREDENTIALS = 8
const DRAWS = 5
const DENIED = ['quay.io/team/**', 'docker.io/library/tool:2', 'docker.io/library/app:moving']

/** @param world as it was opened */
export function createHistory(world: World, chance: Chance): History {
  const editor = createEditor(chance)
  const counts = new Map<string, number>()
  const changed = new Map<string, number>()
  const nobody: Shown = { credential: { kind: 'none' }, headers: { hot: {}, cold: {} } }
  let purse: readonly Shown[] = [nobody]
  let recent: readonly Asked[] = []
  /** Robots of the one, by those of the other. */
  const robots = new Map<string, string>()
  let standing: Standing = { rules: fileRules([]), users: new Map(), robots: new Map() }
  let settings = { believesTags: true, denied: [] as readonly string[] }
  /** Of the tag that moves: at upstream, as it was last found here, and as operators have frozen it. */
  const [first] = world.meanings.slice(-1).map(({ digest }) => digest)
  let tag = { upstream: first ?? '', here: first ?? '', frozen: undefined as string | undefined }

  function learn(credential: Credential, headers: Twins<Headers>): void {
    purse = [nobody, { credential, headers }, ...purse.slice(1)].slice(0, CREDENTIALS)
  }

  function anyQuestion(): Pull {
    return chance.next() < 0.25
      ? movingTag(chance.oneOf(['GET', 'HEAD'] as const))
      : chance.oneOf(world.questions)
  }

  async function pull(): Promise<void> {
    const isHot = recent.length > 0 && chance.next() < 0.4
    if (isHot) return pullThis(chance.oneOf(recent))
    return pullThis(anyAsked())
  }

  /** Mostly what may be had, as nothing else is remembered. */
  function anyAsked(): Asked {
    const draw = (): Asked => ({ shown: chance.oneOf(purse), question: anyQuestion() })
    const draws = Array.from({ length: DRAWS }, draw)
    const isServed = ({ shown, question }: Asked): boolean =>
      verdictOf(standing, shown.credential, question) === 'served'
    return (chance.next() < 0.7 ? draws.find(isServed) : undefined) ?? draw()
  }

  async function pullThis(asked: Asked): Promise<void> {
    recent = [asked, ...recent.filter((it) => it !== asked)].slice(0, REMEMBERED)
    for (let time = 0; time < TIMES; time += 1) await ask(asked)
  }

  /** @returns what it was answered */
  async function ask({ shown, question }: Asked): Promise<string> {
    const { credential, headers } = shown
    const resource = question.kind === 'blob' ? 'blobs' : 'manifests'
    const path = `/v2/${question.name}/${resource}/${question.reference}`
    const from = { 'X-Forwarded-For': `10.1.${chance.between(0, 250)}.${chance.between(0, 250)}` }
    const answers = await world.ask(question.method, path, {
      hot: { ...headers.hot, ...from },
      cold: { ...headers.cold, ...from },
    })
    const what = `${question.method} ${path} as ${JSON.stringify(credential)}`
    const verdict = verdictOf(standing, credential, question)
    const digest = question.reference === MOVING.tag ? meaningNow(verdict) : question.digest
    const right = verdict === 'served' ? `served ${digest}` : verdict
    expect(toldBy(answers.hot, question), `${what}, with memory`).toBe(right)
    expect(toldBy(answers.cold, question), `${what}, without memory`).toBe(right)
    if (verdict === 'served')
      expect(headOf(answers.hot), `${what}, with memory`).toEqual(headOf(answers.cold))
    countUp(counts, `${question.method} ${question.kind} as ${credential.kind}: ${verdict}`)
    return right
  }

  function meaningNow(verdict: string): string {
    if (tag.frozen !== undefined) return tag.frozen
    if (verdict === 'served' && !settings.believesTags) tag = { ...tag, here: tag.upstream }
    return tag.here
  }

  /** What was asked before is asked again: what is remembered of it may be wrong now. */
  async function change(label: string, make: () => Promise<unknown>): Promise<void> {
    const before = { standing, tag }
    await make()
    for (const asked of recent) {
      const { credential } = asked.shown
      const verdict = verdictOf(before.standing, credential, asked.question)
      const isMoving = asked.question.reference === MOVING.tag
      const digest = isMoving ? (before.tag.frozen ?? before.tag.here) : asked.question.digest
      const was = verdict === 'served' ? `served ${digest}` : verdict
      const right = await ask(asked)
      if (right !== was) countUp(changed, `${label}: ${right.split(' ')[0] ?? ''}`)
    }
  }

  /** Not all of those with passwords, as these take 100 times as long as anything else. */
  function chooseEdit(): Edit {
    const chosen = editor.choose(standing)
    const isSlow = chosen.kind === 'user' || chosen.kind === 'password'
    return isSlow && chance.next() < 0.6 ? editor.choose(standing) : chosen
  }

  async function edit(): Promise<void> {
    const chosen = chooseEdit()
    const { hot, cold } = world.operators()
    const { credential } = chosen
    const learnIt = () => credential && learn(credential, twice(headersOf(credential)))
    if (chosen.action === 'user.remove') learnIt()
    if (chosen.kind !== 'rule') {
      for (const shown of purse.slice(1, 1 + WARMED)) {
        await pullThis({ shown, question: anyQuestion() })
      }
    }
    await change(chosen.kind, async () => {
      learnIt()
      const made = await Promise.all([
        unlessConflict(chosen.make(hot)),
        unlessConflict(chosen.make(translated(cold, robots))),
      ])
      const [ofHot, ofCold] = made
      expect(ofHot === undefined).toBe(ofCold === undefined)
      if (!ofHot || !ofCold) return
      standing = ofHot.standing
      if (ofHot.credential?.kind !== 'robot' || ofCold.credential?.kind !== 'robot') return
      robots.set(ofHot.credential.id, ofCold.credential.id)
      learn(ofHot.credential, {
        hot: headersOf(ofHot.credential),
        cold: headersOf(ofCold.credential),
      })
    })
  }

  /** With a token that is not what was shown to get it. */
  async function login(): Promise<void> {
    const shown = purse.find(({ credential }) => credential.kind === 'password')
    if (shown?.credential.kind !== 'password') return pull()
    const { user, password } = shown.credential
    const known = standing.users.get(user)
    if (known?.password !== password) return pull()
    const { hot, cold } = await world.ask('GET', '/token?service=mirror', shown.headers)
    const { version } = known
    learn(
      { kind: 'bearer', user, version, token: tokenIn(hot) },
      { hot: bearer(tokenIn(hot)), cold: bearer(tokenIn(cold)) },
    )
  }

  function moveTag(): Promise<void> {
    const meaning = chance.oneOf(world.meanings.filter(({ digest }) => digest !== tag.upstream))
    return change('move', async () => {
      world.moveTag(meaning)
      tag = { ...tag, upstream: meaning.digest }
    })
  }

  function freeze(): Promise<void> {
    const image = `${MOVING.name}:${MOVING.tag}`
    if (tag.frozen !== undefined) {
      return change('unfreeze', async () => {
        await world.api('DELETE', `/frozen-tags?image=${image}`)
        tag = { ...tag, frozen: undefined }
      })
    }
    const { digest } = chance.oneOf(world.meanings)
    return change('freeze', async () => {
      await world.api('POST', '/frozen-tags', { image: `${image}@${digest}` })
      tag = { ...tag, frozen: digest }
    })
  }

  function configure(label: string, next: typeof settings): Promise<void> {
    return change(label, async () => {
      world.configure(next)
      const ofOperators = standing.rules.filter(
        (rule) => !fileRules(settings.denied).some((it) => it.id === rule.id),
      )
      settings = next
      standing = { ...standing, rules: [...ofOperators, ...fileRules(next.denied)] }
    })
  }

  return {
    counts,
    changed,
    async step() {
      const kind = chance.next()
      if (kind < 0.72) return pull()
      if (kind < 0.85) return edit()
      if (kind < 0.87) return login()
      if (kind < 0.9) return moveTag()
      if (kind < 0.93)
        return configure('lifetime', { ...settings, believesTags: !settings.believesTags })
      if (kind < 0.96)
        return configure('file', {
          ...settings,
          denied: toggled(settings.denied, chance.oneOf(DENIED)),
        })
      if (kind < 0.997) return freeze()
      return change('restart', () => world.restart())
    },
  }
}

function movingTag(method: 'GET' | 'HEAD'): Pull {
  const { name, tag } = MOVING
  return { kind: 'tag', method, name, reference: tag, leading: [tag], digest: '' }
}

function fileRules(denied: readonly string[]): Standing['rules'] {
  return [
    ...FILE_ALLOW.map((pattern) => writtenRule('allow', pattern)),
    // Nobody else's, whatever operators write.
    ...denied.map((pattern) => ({ ...writtenRule('deny', pattern), id: `file denies ${pattern}` })),
  ]
}

function toggled(all: readonly string[], one: string): readonly string[] {
  return all.includes(one) ? all.filter((it) => it !== one) : [...all, one]
}

function translated(operator: Operator, robots: ReadonlyMap<string, string>): Operator {
  return { ...operator, removeToken: (id) => operator.removeToken(robots.get(id) ?? id) }
}

async function unlessConflict<T>(made: Promise<T>): Promise<T | undefined> {
  try {
    return await made
  } catch (error) {
    if (isConflict(error)) return undefined
    throw error
  }
}

function headersOf(credential: Credential): Headers {
  switch (credential.kind) {
    case 'none':
      return {}
    case 'password':
      return basic(credential.user, credential.password)
    case 'bearer':
    case 'robot':
      return bearer(credential.token)
  }
}

const twice = (headers: Headers): Twins<Headers> => ({ hot: headers, cold: headers })

function tokenIn({ body }: Answer): string {
  return (JSON.parse(body.toString()) as { token: string }).token
}

/** In the words of `verdictOf`, and what it is where it is served. */
function toldBy({ status, headers, body }: Answer, { method }: Pull): string {
  if (status === 401) return 'login'
  if (status === 403) return 'refused'
  if (status !== 200) return `${status} ${body.toString()}`
  const named = String(headers['docker-content-digest'])
  if (method === 'HEAD') return `served ${named}`
  const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`
  return digest === named ? `served ${digest}` : `${digest} as ${named}`
}

/** But for what each answer has of its own. */
function headOf({ headers }: Answer): Readonly<Record<string, unknown>> {
  const { date: _date, 'x-request-id': _id, ...others } = headers
  return others
}

function countUp(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
