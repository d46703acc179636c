import { readFile } from 'node:fs/promises'
import { describe, expect, test, vi } from 'vitest'
import {
  createAskHelper,
  helperServer,
  isHelperName,
} from '../../src/upstream/credential-helper.ts'
import { until, within } from '../support/until.ts'
import { createHelperPrograms } from './helper-programs.ts'
import { failureOf, patience } from './loopback.ts'

const SERVER = 'registry.test:5000'
const NOT_FOUND = 'credentials not found in native keychain\n'

describe('what a helper says', () => {
  test.each([
    [
      'a user',
      { ServerURL: SERVER, Username: 'AWS', Secret: 'pass:wörd' },
      { username: 'AWS', password: 'pass:wörd' },
    ],
    ['a user without a name', { Username: '', Secret: 's' }, { username: '', password: 's' }],
    ['an identity token', { Username: '<token>', Secret: 'refresh' }, { identityToken: 'refresh' }],
  ])('%s', async (_, answer, expected) => {
    const programs = await createHelperPrograms()
    await programs.answer('ecr-login', answer)
    expect(await createAskHelper()('ecr-login', SERVER, patience())).toEqual(expected)
    expect(await programs.asked()).toEqual([`get ${SERVER}`])
  })

  test('nobody', async () => {
    const programs = await createHelperPrograms()
    await programs.answer('pass', NOT_FOUND, 1)
    expect(await createAskHelper()('pass', SERVER, patience())).toBeUndefined()
  })

  test.each<[string, unknown, number]>([
    ['an error', 'error: hunter2 is not the password', 1],
    ['an answer and a failure', { Username: 'u', Secret: 'hunter2' }, 3],
    ['not found, but with success', NOT_FOUND, 0],
    ['no JSON', 'hunter2', 0],
    ['no object', '"hunter2"', 0],
    ['null', 'null', 0],
    ['nothing', '', 0],
    ['no secret', { Username: 'hunter2' }, 0],
    ['an empty secret', { Username: 'hunter2', Secret: '' }, 0],
    ['no name', { Secret: 'hunter2' }, 0],
    ['a name that is none', { Username: 7, Secret: 'hunter2' }, 0],
    ['a name with a colon', { Username: 'hunter2:x', Secret: 'hunter2' }, 0],
    ['too much', `{"Username":"u","Secret":"${'hunter2'.repeat(10_000)}"}`, 0],
  ])('%s: unavailable, and quoted nowhere', async (_, answer, exitCode) => {
    const programs = await createHelperPrograms()
    await programs.answer('x', answer, exitCode)
    const failure = await failureOf(createAskHelper()('x', SERVER, patience()))
    expect(failure).toMatchObject({ reason: 'unavailable', blames: 'account' })
    expect(failure.message).toContain('docker-credential-x')
    expect(failure.message).toContain(`echo ${SERVER} | docker-credential-x get`)
    expect(`${failure.stack} ${String(failure.cause)}`).not.toContain('hunter2')
  })
})

describe('a program that', () => {
  test('is not there', async () => {
    await createHelperPrograms()
    const failure = await failureOf(createAskHelper()('nowhere', SERVER, patience()))
    expect(failure).toMatchObject({ reason: 'unavailable', blames: 'account' })
    expect(failure.message).toMatch(/docker-credential-nowhere is not on the PATH.*install it/)
  })

  test('does not read, or closes its input at once', async () => {
    const programs = await createHelperPrograms()
    await programs.install('x', `exec 0<&-\necho '{"Username":"u","Secret":"s"}'`)
    // More than a pipe holds, so that writing goes on when nobody can read any more.
    for (const server of [SERVER, 'x'.repeat(1_000_000)]) {
      expect(await createAskHelper()('x', server, patience())).toEqual({
        username: 'u',
        password: 's',
      })
    }
  })

  test('gives no answer is killed, and what it has started too', async () => {
    const programs = await createHelperPrograms()
    await programs.install('x', 'sleep 600 &\necho $$ $! > "$FOLDER/pids"\nwait')
    const failure = await failureOf(createAskHelper(300)('x', SERVER, patience()))
    expect(failure.message).toContain('gave no answer in 300 ms')
    await until(async () => (await runningOf(await programs.read('pids'))).length === 0)
  })

  test('runs when its reason is gone is killed', async () => {
    const programs = await createHelperPrograms()
    await programs.install('x', 'sleep 600 &\necho $$ $! > "$FOLDER/pids"\nwait')
    const controller = new AbortController()
    const asking = createAskHelper()('x', SERVER, controller.signal)
    await until(async () => (await programs.read('pids')).includes('\n'))
    const reason = new Error('closing')
    controller.abort(reason)
    await expect(within(asking)).rejects.toBe(reason)
    await until(async () => (await runningOf(await programs.read('pids'))).length === 0)
  })

  test('is not even started when its reason is gone before', async () => {
    const programs = await createHelperPrograms()
    await programs.answer('x', NOT_FOUND, 1)
    const reason = new Error('closing')
    await expect(createAskHelper()('x', SERVER, AbortSignal.abort(reason))).rejects.toBe(reason)
    expect(await programs.asked()).toEqual([])
  })
})

test('a helper sees what its cloud needs of our environment, and nothing else', async () => {
  const programs = await createHelperPrograms()
  const passedOn = {
    HOME: '/home/x',
    AWS_PROFILE: 'a',
    GOOGLE_APPLICATION_CREDENTIALS: 'b',
    AZURE_CLIENT_ID: 'c',
    CLOUDSDK_CONFIG: 'd',
    DOCKER_CONFIG: 'e',
    XDG_RUNTIME_DIR: 'f',
    https_proxy: 'g',
    HTTP_PROXY: 'h',
    no_proxy: 'i',
  }
  const keptBack = { ENTREPOT_SECRET: 'x', NODE_OPTIONS: '--no-warnings', AWS: 'x', MY_HOME: 'x' }
  for (const [name, value] of Object.entries({ ...passedOn, ...keptBack })) vi.stubEnv(name, value)
  await programs.install('x', `env > "$FOLDER/env"\necho '${NOT_FOUND.trim()}'\nexit 1`)
  await createAskHelper()('x', SERVER, patience())
  const names = (await programs.read('env')).split('\n').map((line) => line.split('=', 1)[0])
  expect(names).toEqual(expect.arrayContaining(['PATH', ...Object.keys(passedOn)]))
  for (const name of Object.keys(keptBack)) expect(names).not.toContain(name)
})

test.each([
  ['https://registry-1.docker.io', 'https://index.docker.io/v1/'],
  ['https://index.docker.io/', 'https://index.docker.io/v1/'],
  ['https://1234.dkr.ecr.eu-west-1.amazonaws.com', '1234.dkr.ecr.eu-west-1.amazonaws.com'],
  ['https://registry.test:5000/base', 'registry.test:5000'],
  ['https://mirror.gcr.io', 'mirror.gcr.io'],
])('%s is known to helpers as %s', (endpoint, server) => {
  expect(helperServer(new URL(endpoint))).toBe(server)
})

test.each([
  ['ecr-login', true],
  ['acr_env.2', true],
  ['', false],
  ['../x', false],
  ['a/b', false],
  ['-x', false],
  ['x y', false],
  ['X', false],
])('the name %s: %s', (name, isName) => {
  expect(isHelperName(name)).toBe(isName)
})

/** Those of the processes that still run; a zombie that nobody has waited for does not. */
async function runningOf(pids: string): Promise<string[]> {
  const states = await Promise.all(
    pids
      .trim()
      .split(/\s+/)
      .map((pid) => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')),
  )
  return states.filter((state) => state !== '' && !/\) [ZX] /.test(state))
}
