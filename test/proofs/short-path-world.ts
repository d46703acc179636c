/** Two mirrors of the same upstreams: one that gives hot answers from memory, and one that has none for it. */
import { Agent, request } from 'node:http'
import { createApiClient } from '../../src/cli/api-client.ts'
import { addressOf } from '../../src/cli/mirror-address.ts'
import { createOperatorClient } from '../../src/cli/operator-client.ts'
import type { Operator } from '../../src/operator.ts'
import { buildImage, type FakeImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { metric } from '../scenarios/metrics-page.ts'
import type { MirrorSettings } from '../support/mirror-config.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { type Headers, openPeople, type People } from '../support/people.ts'
import { ANONYMOUS, type Question } from './live-edits-model.ts'

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: Buffer
}

/** Of one request to each of them. */
export interface Twins<T> {
  readonly hot: T
  readonly cold: T
}

/** What of the configuration changes while they run. */
interface Settings {
  readonly believesTags: boolean
  /** Patterns that the file denies in addition. */
  readonly denied: readonly string[]
}

export interface World extends AsyncDisposable {
  /** Everything that can be asked, but what moves. */
  readonly questions: readonly Extract<Question, { leading: unknown }>[]
  /** What `MOVING` may mean. */
  readonly meanings: readonly FakeImage[]
  operators(): Twins<Operator>
  ask(method: string, path: string, headers: Twins<Headers>): Promise<Twins<Answer>>
  /** For what the operators' client has no word for. */
  api(method: string, path: string, body?: unknown): Promise<void>
  moveTag(to: FakeImage): void
  configure(settings: Settings): void
  restart(): Promise<void>
  /** Credentials that were looked at and right, over all starts. */
  logins(): Promise<Twins<number>>
}

export const MOVING = { name: 'docker.io/library/app', tag: 'moving' }
const REPOSITORIES = ['docker.io/library/app', 'docker.io/library/tool', 'quay.io/team/app']
/** Tags that lead to the same image stand together. */
const TAGS = [['1'], ['2', 'edge']]
const BEGINNING: Settings = { believesTags: true, denied: [] }
/** What the file says besides. */
export const FILE_ALLOW = ['docker.io/library/tool', 'docker.io/library/app']
const SILENCE = 20_000

export async function openWorld(): Promise<World> {
  const opened: (() => Promise<unknown>)[] = []
  const close = async (): Promise<void> => {
    for (const end of opened.splice(0).toReversed()) await end()
  }
  const use = <T extends AsyncDisposable>(it: T): T => {
    opened.push(async () => it[Symbol.asyncDispose]())
    return it
  }
  try {
    const registries = { hub: use(await startRegistry()), quay: use(await startRegistry()) }
    const contents = pushContents(registries)
    const hot = use(await openTwin(registries, '64MiB'))
    const cold = use(await openTwin(registries, '0MiB'))
    const agent = new Agent({ keepAlive: true })
    opened.push(async () => agent.destroy())
    return { ...contents, ...together(hot, cold, registries, agent), [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}

function pushContents(registries: Registries): Pick<World, 'questions' | 'meanings'> {
  const questions = REPOSITORIES.flatMap((name) => pushImages(name, registries))
  const meanings = [0, 1].map((number) => {
    const image = buildImage({ seed: `short path ${number}`, layers: [] })
    registries.hub.push('library/app', `meaning-${number}`, image)
    registries.hub.push('library/app', MOVING.tag, image)
    return image
  })
  return { questions, meanings }
}

function together(
  hot: Twin,
  cold: Twin,
  registries: Registries,
  agent: Agent,
): Omit<World, 'questions' | 'meanings' | typeof Symbol.asyncDispose> {
  const both = async <T>(act: (twin: Twin) => Promise<T>): Promise<Twins<T>> => {
    const [ofHot, ofCold] = await Promise.all([act(hot), act(cold)])
    return { hot: ofHot, cold: ofCold }
  }
  return {
    operators: () => ({ hot: hot.operator, cold: cold.operator }),
    async ask(method, path, headers) {
      const [ofHot, ofCold] = await Promise.all([
        ask(agent, hot.mirror.url, { method, path, headers: headers.hot }),
        ask(agent, cold.mirror.url, { method, path, headers: headers.cold }),
      ])
      return { hot: ofHot, cold: ofCold }
    },
    async api(method, path, body) {
      await both(({ people }) => people.api(method, path, body))
    },
    moveTag: ({ digest }) => registries.hub.setTag('library/app', MOVING.tag, digest),
    configure(settings) {
      for (const { mirror } of [hot, cold]) mirror.reload(settingsOf(registries, settings))
    },
    async restart() {
      await both((twin) => twin.restart())
    },
    logins: () => both((twin) => twin.logins()),
  }
}

interface Twin extends AsyncDisposable {
  readonly mirror: Mirror
  readonly people: People
  /** Reaches the mirror where it is, also after a restart. */
  readonly operator: Operator
  restart(): Promise<void>
  logins(): Promise<number>
}

async function openTwin(registries: Registries, memory: string): Promise<Twin> {
  const settings = settingsOf(registries, BEGINNING)
  const mirror = await startMirror({ ...settings, yaml: { memory } })
  try {
    const people = await openPeople(mirror)
    await fillStore(mirror, people)
    const stopped = new AbortController()
    const token = (people.admin['authorization'] ?? '').replace('Bearer ', '')
    const connectOperator = (): Operator =>
      createOperatorClient(
        createApiClient(addressOf(mirror.url), { token, signal: stopped.signal }),
      )
    let operator = connectOperator()
    let before = 0
    const accepted = (): Promise<number> =>
      metric(mirror, 'entrepot_logins_total', { result: 'accepted' })
    return {
      mirror,
      people,
      get operator() {
        return operator
      },
      async restart() {
        before += await accepted()
        await mirror.restart()
        operator = connectOperator()
      },
      logins: async () => before + (await accepted()),
      async [Symbol.asyncDispose]() {
        stopped.abort()
        await mirror[Symbol.asyncDispose]()
      },
    }
  } catch (error) {
    await mirror[Symbol.asyncDispose]()
    throw error
  }
}

interface Registries {
  readonly hub: FakeRegistry
  readonly quay: FakeRegistry
}

function settingsOf({ hub, quay }: Registries, settings: Settings): MirrorSettings {
  const tagTtl = settings.believesTags ? '1d' : '0s'
  return {
    upstreams: {
      'docker.io': { registry: hub, tagTtl },
      'quay.io': { registry: quay, tagTtl },
    },
    allow: FILE_ALLOW,
    deny: settings.denied,
    anonymous: ANONYMOUS.map(({ pattern }) => pattern),
    // Each client has an address of its own, so that none is held back for what another did.
    trustedProxies: ['127.0.0.0/8'],
  }
}

/** All of it, so that the tags that lead to each digest are known. */
async function fillStore(mirror: Mirror, people: People): Promise<void> {
  const { id } = await people.api('POST', '/rules', { effect: 'allow', pattern: '**' })
  for (const name of REPOSITORIES) {
    for (const tag of TAGS.flat()) await mirror.pull(name, tag, { headers: people.admin })
  }
  for (const tag of ['meaning-0', 'meaning-1', MOVING.tag]) {
    await mirror.pull(MOVING.name, tag, { headers: people.admin })
  }
  await people.api('DELETE', `/rules/${String(id)}`)
}

function pushImages(name: string, { hub, quay }: Registries): World['questions'] {
  const registry = name.startsWith('docker.io/') ? hub : quay
  return TAGS.flatMap((leading) => {
    const image = buildImage({ seed: `short path ${name} ${leading.join()}`, layers: [700] })
    for (const tag of leading) registry.push(name.slice(name.indexOf('/') + 1), tag, image)
    const { digest } = image
    return (['GET', 'HEAD'] as const).flatMap((method) => [
      ...leading.map((tag) => {
        return { kind: 'tag', method, name, reference: tag, leading: [tag], digest } as const
      }),
      { kind: 'digest', method, name, reference: digest, leading, digest } as const,
      ...image.blobs.map((blob) => {
        const it = blob.digest
        return { kind: 'blob', method, name, reference: it, leading, digest: it } as const
      }),
    ])
  })
}

interface Asked {
  readonly method: string
  readonly path: string
  readonly headers: Headers
}

function ask(agent: Agent, url: string, { method, path, headers }: Asked): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(new URL(path, url), { agent, method, headers })
    outgoing.setTimeout(SILENCE, () => outgoing.destroy(new Error('The mirror is silent.')))
    outgoing.once('error', reject)
    outgoing.once('response', (incoming) => {
      const chunks: Buffer[] = []
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
      incoming.once('error', reject)
      incoming.once('end', () => {
        const { statusCode: status = 0, headers: told } = incoming
        resolve({ status, headers: told, body: Buffer.concat(chunks) })
      })
    })
    outgoing.end()
  })
}
