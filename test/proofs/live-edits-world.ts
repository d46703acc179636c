/** The program with images in its store, and two ways to its operators' use-cases. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createApiClient } from '../../src/cli/api-client.ts'
import { addressOf } from '../../src/cli/mirror-address.ts'
import { createOperatorClient } from '../../src/cli/operator-client.ts'
import { parseConfig } from '../../src/config/load.ts'
import { createLog } from '../../src/log.ts'
import { type OpenedOperator, type Operator, openOperator } from '../../src/operator.ts'
import { buildImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { buildProgram, type Program } from '../scenarios/program.ts'
import { mirrorYaml } from '../support/mirror-config.ts'
import { pull } from '../support/pull.ts'
import type { WrittenRule } from './access/reference.ts'
import { ANONYMOUS, type Question, type Standing } from './live-edits-model.ts'

/** `api` over the network; `host` by another process on the same file, as the commands there do. */
export type Face = 'api' | 'host'

export interface World extends AsyncDisposable {
  readonly url: string
  readonly program: Program
  /** Everything that can be asked. */
  readonly questions: readonly Question[]
  /** With the rules of the file, and no others. */
  readonly beginning: Standing
  operator(face: Face): Operator
  /** As the next command does. */
  reopenHost(): Promise<void>
}

const REPOSITORIES = [
  'docker.io/library/app',
  'docker.io/library/tool',
  'quay.io/team/app',
  'quay.io/team/tool',
  'quay.io/other/app',
]
/** Tags that lead to the same image stand together. */
const TAGS = [['1'], ['2', 'edge']]
const FILE = {
  allow: ['docker.io/library/tool', 'quay.io/team/tool:2'],
  deny: ['quay.io/secret/**'],
}

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
    const folder = await mkdtemp(join(tmpdir(), 'entrepot-live-edits-'))
    opened.push(() => rm(folder, { recursive: true, force: true }))
    const build = use(await buildProgram())
    const [hub, quay] = [use(await startRegistry()), use(await startRegistry())]
    const images = REPOSITORIES.flatMap((name) => pushImages(name, { hub, quay }))

    const file = join(folder, 'mirrors.yml')
    const yaml = mirrorYaml(settingsOf(hub, quay), join(folder, 'data'))
    await writeFile(file, yaml)
    const config = parseConfig(yaml, { file, env: {} })
    const openHost = () => openOperator(config, { log: createLog({ write: () => undefined }) })
    let host: OpenedOperator = await openHost()
    opened.push(() => host.close())
    const grants = [{ role: 'admin', pattern: '**' }] as const
    const { token } = await host.operator.addToken({ name: 'editor', grants })

    const program = use(build.start({ args: ['serve', '--config', file] }))
    const { url } = await program.ready()
    await fillStore(host.operator, url, token)
    const stopped = new AbortController()
    opened.push(async () => stopped.abort())
    const api = createOperatorClient(
      createApiClient(addressOf(url), { token, signal: stopped.signal }),
    )
    return {
      url,
      program,
      questions: [...images, ...secretQuestions(), { kind: 'ping' }],
      beginning: { rules: fileRules(), users: new Map(), robots: new Map() },
      operator: (face) => (face === 'api' ? api : host.operator),
      async reopenHost() {
        await host.close()
        host = await openHost()
      },
      [Symbol.asyncDispose]: close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

function settingsOf(hub: FakeRegistry, quay: FakeRegistry) {
  return {
    upstreams: {
      // What is here is not looked for again.
      'docker.io': { registry: hub, tagTtl: '1d' },
      'quay.io': { registry: quay, tagTtl: '1d' },
    },
    ...FILE,
    anonymous: ANONYMOUS.map(({ pattern }) => pattern),
    // Each client has an address of its own, so that none is held back for what another did.
    trustedProxies: ['127.0.0.0/8'],
  }
}

/** All of it, so that the tags that lead to each digest are known. */
async function fillStore(operator: Operator, url: string, token: string): Promise<void> {
  const { id } = await operator.addRule({ effect: 'allow', pattern: '**' })
  for (const name of REPOSITORIES) {
    for (const tag of TAGS.flat()) {
      await pull(url, name, tag, { headers: { authorization: `Bearer ${token}` } })
    }
  }
  await operator.removeRule(id)
}

function pushImages(
  name: string,
  { hub, quay }: { hub: FakeRegistry; quay: FakeRegistry },
): Question[] {
  const slash = name.indexOf('/')
  const registry = name.startsWith('docker.io/') ? hub : quay
  const questions: Question[] = [{ kind: 'tags', name, tags: TAGS.flat().toSorted() }]
  for (const leading of TAGS) {
    const image = buildImage({ seed: `live edits ${name} ${leading.join()}`, layers: [700] })
    for (const tag of leading) registry.push(name.slice(slash + 1), tag, image)
    for (const method of ['GET', 'HEAD'] as const) {
      const about = { method, name }
      const { digest } = image
      for (const tag of leading) {
        questions.push({ ...about, kind: 'tag', reference: tag, leading: [tag], digest })
      }
      questions.push({ ...about, kind: 'digest', reference: digest, leading, digest })
      for (const blob of image.blobs) {
        const reference = blob.digest
        questions.push({ ...about, kind: 'blob', reference, leading, digest: reference })
      }
    }
  }
  return questions
}

/** Of what the file denies, whatever operators allow. */
function secretQuestions(): Question[] {
  const digest = `sha256:${'0'.repeat(64)}`
  const about = { method: 'GET', name: 'quay.io/secret/app', leading: [], digest } as const
  return [
    { ...about, kind: 'tag', reference: '1', leading: ['1'] },
    { ...about, kind: 'digest', reference: digest },
    { ...about, kind: 'blob', reference: digest },
    { kind: 'tags', name: about.name, tags: [] },
  ]
}

function fileRules(): WrittenRule[] {
  return (['allow', 'deny'] as const).flatMap((effect) =>
    FILE[effect].map((pattern) => writtenRule(effect, pattern)),
  )
}

export function writtenRule(effect: 'allow' | 'deny', pattern: string): WrittenRule {
  return { id: `${effect} ${pattern}`, effect, pattern, expiresAt: undefined, minAge: 0 }
}
