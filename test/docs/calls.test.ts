/** Every call of the program, and every request to its API, that stands on a page or in help is made. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Io } from '../../src/cli/command.ts'
import { COMMANDS } from '../../src/cli/commands.ts'
import { runProgram } from '../../src/cli/program.ts'
import { readUsage } from '../../src/cli/usage-model.ts'
import { type CertificateAuthority, createCertificateAuthority } from '../fakes/certificates.ts'
import { buildImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { type ClientResponse, request } from '../support/client.ts'
import { mirrorYaml } from '../support/mirror-config.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { openPeople, type People } from '../support/people.ts'
import { until, within } from '../support/until.ts'
import { CURL_CALLS, type DocumentedCall, PROGRAM_CALLS } from './documented-calls.ts'

const IMAGE = buildImage({ seed: 'documented calls', layers: [1000] })
const UPSTREAMS = ['docker.io', 'quay.io', 'registry.k8s.io', 'ghcr.io', 'gcr.io']
const ALLOW = [
  'docker.io/**',
  'registry.k8s.io/**',
  'ghcr.io/**',
  'gcr.io/**',
  'quay.io/c*/**',
  'quay.io/p*/**',
]
/** What is refused can be asked for. */
const REFUSED = 'quay.io/refused/app'
/** As `skopeo sync` has it. */
const LIST = `docker.io: { images: { library/redis: ['7'] } }\n`
const REQUEST = /\br-[a-z0-9]{10}\b/g
const PASSWORD = 'correct horse battery'
const OPTIONS = new Map(
  readUsage().map(({ name, options }) => [name, options.map((it) => it.name)]),
)

/** Where 0 would need more than there is here: a mirror that has been stopped, or the hosts that are named. */
const ENDS_WITH_1: ReadonlySet<string> = new Set(['verify', 'gc', 'doctor'])

let folder: string
let config: string
let authority: CertificateAuthority
let registry: FakeRegistry
let mirror: Mirror
let people: People
let token: string
let requests: string[]
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'entrepot-calls-'))
  authority = await createCertificateAuthority()
  registry = await startRegistry()
  const upstreams = Object.fromEntries(UPSTREAMS.map((name) => [name, registry]))
  const settings = { upstreams, allow: ALLOW }
  mirror = await startMirror(settings)
  people = await openPeople(mirror)
  token = (await people.robot('documents', 'admin **')).token
  config = join(folder, 'mirrors.yml')
  const listen = { yaml: { listen: new URL(mirror.url).host, publicUrl: mirror.url } }
  await writeFile(config, mirrorYaml({ ...settings, ...listen }, mirror.dataDir))
  await mkdir(join(folder, 'root'))
  for (const name of imagesIn(PROGRAM_CALLS)) push(name)
  requests = await openRequests()
  await writeFile(join(folder, 'token'), token)
  await writeFile(join(folder, 'images.yml'), LIST)
})
afterAll(async () => {
  await mirror[Symbol.asyncDispose]()
  await registry.close()
  await authority[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

describe('the program', () => {
  const calls = PROGRAM_CALLS.filter(({ words: [name] }) => name !== 'serve')

  it('is called on the pages and in help', () => {
    expect(calls.length).toBeGreaterThan(60)
    const called = new Set(calls.map(({ words: [name = ''] }) => name))
    expect([...COMMANDS.keys()].filter((name) => name !== 'serve' && !called.has(name))).toEqual([])
  })

  it.each(calls.map((call) => [`${call.place} ${call.words.join(' ')}`, call] as const))(
    '%s',
    async (_, call) => {
      const { code, error } = await runCall(call)
      const [name = ''] = call.words
      const right = ENDS_WITH_1.has(name) ? [0, 1] : [0]
      expect({ code, error }).toEqual({
        code: expect.toSatisfy((it) => right.includes(Number(it))),
        error,
      })
    },
  )
})

describe('the API', () => {
  it.each(CURL_CALLS.map((call) => [`${call.place} ${call.words.join(' ')}`, call] as const))(
    '%s',
    async (_, call) => {
      const { status, body } = await runCurl(call)
      expect({ status, body: body.toString() }).toMatchObject({
        status: expect.toSatisfy(isSuccess),
      })
    },
  )
})

interface Ended {
  readonly code: number
  readonly error: string
}

async function runCall({ words, env, input }: DocumentedCall): Promise<Ended> {
  const controller = new AbortController()
  const errors: string[] = []
  const args = await standIns(words)
  await prepare(args)
  const io: Io = {
    env: { ENTREPOT_TOKEN: token, HOME: folder, ...withToken(env) },
    input: {
      isTerminal: input === undefined,
      read: async () => `${PASSWORD}\n`,
      askSecrets: async (prompts) => prompts.map(() => PASSWORD),
    },
    // What would go on for ever has been seen to begin.
    out: () => {
      if (words.includes('--watch')) controller.abort()
    },
    error: (text) => void errors.push(text),
    onReload: () => undefined,
  }
  const code = await within(runProgram(COMMANDS, args, io, controller.signal), {
    deadlineMs: 20_000,
    what: `entrepot ${args.join(' ')}`,
  })
  return { code: words.includes('--watch') ? 0 : code, error: errors.join('\n') }
}

/** The same call about what there is here. Nothing outside of the test's folders is written. */
async function standIns(words: readonly string[]): Promise<string[]> {
  const [name = ''] = words
  const fitting = await Promise.all(words.map((word, at) => standIn(word, words[at - 1])))
  const has = (option: string): boolean => (OPTIONS.get(name) ?? []).includes(option)
  if (has('--root') && !fitting.includes('--root')) fitting.push('--root', join(folder, 'root'))
  const isInit = name === 'config' && words[1] === 'init'
  if (isInit) return ['config', 'init', '--config', join(folder, 'new.yml')]
  const isElsewhere = fitting.includes('--server')
  if (has('--config') && !isElsewhere && !fitting.includes('--config'))
    fitting.push('--config', config)
  return fitting
}

async function standIn(word: string, before = ''): Promise<string> {
  if (/^https?:\/\/[\w.-]+(?::\d+)?$/.test(word)) return mirror.url
  if (before === '--config') return config
  if (before === '--file') return join(folder, 'images.yml')
  if (before === '--data') return mirror.dataDir
  if (before === '--root') return join(folder, 'root')
  if (before.endsWith('-file')) return join(folder, 'token')
  if (before === '--ca') return authority.caFile
  if (/^r-\w{10}$/.test(word)) return requests.pop() ?? ''
  if (/^[ad]-\w{6}$/.test(word)) return await newRule()
  if (word === 'ID') return (await people.robot('one-more', 'pull **')).id
  return word.replace(/sha256:(?:…|<hex>)$/, IMAGE.digest).replace(/^RECENT$/, '1d')
}

/** What has to be there, or must not be there yet. */
async function prepare([name = '', action = '', subject = '']: readonly string[]): Promise<void> {
  if (name === 'users' && action !== 'list') {
    if (action === 'add') await attempt('DELETE', `/users/${subject}`)
    else await attempt('POST', '/users', { name: subject, password: PASSWORD, grants: [] })
  }
  if ((name === 'allow' || name === 'deny') && action !== 'list') {
    await withoutRule(name, subject)
    if (action === 'remove') await attempt('POST', '/rules', { effect: name, pattern: subject })
  }
  if (action === 'withdraw') await attempt('POST', '/approvals', { image: subject })
  if (action === 'unfreeze') {
    await attempt('POST', '/frozen-tags', { image: `${subject}@${IMAGE.digest}` })
  }
}

async function withoutRule(effect: string, pattern: string): Promise<void> {
  const { rules } = (await people.api('GET', '/rules')) as {
    rules: readonly { id: string; effect: string; pattern: string }[]
  }
  const same = rules.filter((rule) => rule.effect === effect && rule.pattern === pattern)
  for (const { id } of same) await attempt('DELETE', `/rules/${id}`)
}

/** It may have been so already. */
async function attempt(method: string, path: string, body?: unknown): Promise<void> {
  await people.api(method, path, body).catch(() => undefined)
}

async function runCurl({ words }: DocumentedCall): Promise<ClientResponse> {
  const headers: Record<string, string> = { ...people.admin }
  let method: string | undefined
  let body: string | undefined
  let target = ''
  for (let at = 1; at < words.length; at += 1) {
    const [word = '', next = ''] = words.slice(at)
    if (/^-[A-Za-z]$/.test(word) && !/^-[fsSLIk]$/.test(word)) at += 1
    if (word === '-H') {
      const [, name = '', value = ''] = /^([^:]+): *(.*)$/s.exec(next) ?? []
      if (name.toLowerCase() !== 'authorization') headers[name.toLowerCase()] = value
    } else if (word === '-X') method = next
    else if (word === '-d') body = next
    else if (/^https?:/.test(word)) target = word
  }
  const rule = /"pattern":"([^"]+)"/.exec(body ?? '')?.[1]
  if (rule !== undefined) await withoutRule('allow', rule)
  const { pathname, search } = new URL(target)
  const path = pathname
    .replace(REQUEST, () => requests.pop() ?? '')
    .replace(/[ad]-\w{6}(?=$|\/)/, await newRule())
  return await request({
    url: mirror.url,
    path: path + search,
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    headers,
    ...(body !== undefined && { body }),
  })
}

let made = 0

/** Ids of requests for access that nobody has decided, one for each call that names one. */
async function openRequests(): Promise<string[]> {
  const named = [...PROGRAM_CALLS, ...CURL_CALLS].flatMap(
    ({ words }) => words.join(' ').match(REQUEST) ?? [],
  )
  const refused = named.map((_, at) => mirror.get(`/v2/${REFUSED}${at}/manifests/v1`))
  const ids = (await Promise.all(refused)).flatMap(
    ({ body }) => body.toString().match(REQUEST)?.[0] ?? [],
  )
  // They are written down behind the answers.
  await until(async () => {
    const known = JSON.stringify(await people.api('GET', '/requests'))
    return ids.every((id) => known.includes(id))
  })
  return ids
}

async function newRule(): Promise<string> {
  made += 1
  const rule = await people.api('POST', '/rules', {
    effect: 'deny',
    pattern: `quay.io/none/${made}`,
  })
  return String(rule['id'])
}

function withToken(env: Readonly<Record<string, string>>): Record<string, string> {
  return 'ENTREPOT_TOKEN' in env ? { ...env, ENTREPOT_TOKEN: token } : { ...env }
}

/** Names with a tag of the upstreams, in the order in which they stand. */
function imagesIn(calls: readonly DocumentedCall[]): Set<string> {
  const words = calls.flatMap((call) => call.words)
  return new Set(words.filter((word) => UPSTREAMS.some((name) => word.startsWith(`${name}/`))))
}

function push(image: string): void {
  const [, repository = '', tag = 'latest'] =
    /^[^/]+\/([a-z0-9/._-]+)(?::([\w.-]+))?/.exec(image) ?? []
  registry.push(repository, tag, IMAGE)
}

function isSuccess(status: unknown): boolean {
  return Number(status) >= 200 && Number(status) < 300
}
