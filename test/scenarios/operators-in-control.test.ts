/** Operators decide who may bring in what while the mirror runs, by commands on its host and from elsewhere. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  APP,
  basic,
  ETCD,
  filesWith,
  IMAGE,
  makeFolder,
  type Robot,
  run,
  type Scene,
  startScene as start,
} from './operator-commands.ts'
import { request } from '../support/client.ts'
import type { MirrorSettings } from '../support/mirror-config.ts'
import { until } from '../support/until.ts'
import { type Build, buildProgram, type Program } from './program.ts'

const PASSWORD = 'correct horse battery'

// Many processes are started.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

let build: Build
beforeAll(async () => {
  build = await buildProgram()
})
afterAll(() => build[Symbol.asyncDispose]())

const startScene = (settings?: Partial<MirrorSettings>): Promise<Scene> => start(build, settings)

describe('the first start', () => {
  it('tells a token once, outside of the log, that makes the first admin and ends with it', async () => {
    await using scene = await startScene()
    const { token, url } = firstToken(scene.program)
    expect(url).toBe(scene.url)
    expect(scene.program.errors.split(token)).toHaveLength(2)
    expect(scene.program.output).not.toContain(token)

    const remote = { env: { ENTREPOT_TOKEN: token } }
    const server = ['--server', url]
    expect(await scene.run(['tokens', 'list', ...server], remote)).toMatchObject({ code: 0 })
    const add = ['users', 'add', 'alice', '--grant', 'admin=**', '--password-stdin', ...server]
    expect(await scene.run(add, { ...remote, input: `${PASSWORD}\n` })).toMatchObject({ code: 0 })

    const late = await scene.run(['users', 'list', ...server], remote)
    expect(late).toMatchObject({ code: 1, output: '' })
    expect(late.errors).toMatch(/does not accept the token|not one of this mirror/)
    expect(await scene.json(['tokens', 'list'])).toEqual({ tokens: [] })
    expect(await scene.as('alice', PASSWORD, '/api/v1/whoami')).toBe(200)
    for (const secret of [token.split('_').at(-1) ?? '', PASSWORD]) {
      expect(await filesWith(scene.data, secret)).toEqual([])
    }

    await scene.restart()
    expect(scene.program.errors).toBe('')
  })

  it('tells another one at the next start where nobody has used it, and the first ends', async () => {
    await using scene = await startScene()
    const { token: earlier } = firstToken(scene.program)
    await scene.restart()
    const { token, url } = firstToken(scene.program)
    expect(token).not.toBe(earlier)
    const list = ['users', 'list', '--server', url]
    expect((await scene.run(list, { env: { ENTREPOT_TOKEN: earlier } })).code).toBe(1)
    expect((await scene.run(list, { env: { ENTREPOT_TOKEN: token } })).code).toBe(0)
  })
})

describe('a rule', () => {
  it('counts for the next pull, and deny wins', async () => {
    await using scene = await startScene({ allow: [] })
    expect(await scene.status(APP)).toBe(403)
    await scene.done(['allow', 'add', 'docker.io/library/*', '--reason', 'for the build'])
    expect(await scene.status(APP)).toBe(200)
    expect(await scene.status(ETCD)).toBe(403)

    await scene.done(['deny', 'add', 'docker.io/app:v1'])
    expect(await scene.status(APP)).toBe(403)
    expect(await scene.status(APP.replace('v1', 'v2'))).toBe(200)
    const overruled = await scene.run(['allow', 'add', 'docker.io/library/app:v1'])
    expect(overruled).toMatchObject({ code: 1, output: '' })
    expect(overruled.errors).toContain('deny wins')
    await scene.done(['deny', 'remove', 'docker.io/library/app:v1'])
    expect(await scene.status(APP)).toBe(200)
    await scene.done(['allow', 'remove', 'docker.io/library/*'])
    expect(await scene.status(APP)).toBe(403)
  })

  it('ends by itself', async () => {
    await using scene = await startScene({ allow: [] })
    const add = ['allow', 'add', 'docker.io/library/app', '--for', '6s']
    const { expiresAt } = (await scene.json(add)) as { expiresAt: string }
    const end = Date.parse(expiresAt)
    const seen: { sent: number; answered: number; status: number }[] = []
    await until(
      async () => {
        const sent = Date.now()
        const status = await scene.status(APP)
        seen.push({ sent, answered: Date.now(), status })
        return sent >= end
      },
      { deadlineMs: 20_000, what: 'the rule has ended' },
    )
    const before = seen.filter(({ answered }) => answered < end)
    expect(new Set(before.map(({ status }) => status))).toEqual(new Set([200]))
    expect(seen.at(-1)?.status).toBe(403)
    const listed = await scene.json(['allow', 'list'])
    expect(listed).toMatchObject({ rules: [{ standing: 'expired', expiresAt }] })
  })

  it('is listed beside those of the file, with its standing and which decides', async () => {
    await using scene = await startScene({ allow: ['quay.io/**'], deny: ['quay.io/coreos/*'] })
    await scene.done(['allow', 'add', 'docker.io/library/app', '--owner', 'build team'])
    await scene.done(['allow', 'add', 'docker.io/library/app:v1'])
    const denial = (await scene.json(['deny', 'add', 'docker.io/**:v1'])) as { id: string }

    expect(await scene.json(['allow', 'list'])).toMatchObject({
      rules: [
        { pattern: 'quay.io/**', origin: 'file', standing: 'in-force' },
        { pattern: 'docker.io/library/app', origin: 'operator', owner: 'build team' },
        { standing: 'overridden', overriddenBy: denial.id },
      ],
    })
    const { output } = await scene.run(['allow', 'list'])
    expect(output).toMatch(/quay\.io\/\*\* .*in force .*mirrors\.yml/)
    expect(output).toMatch(/docker\.io\/library\/app .*in force .*build team/)
    expect(output).toMatch(new RegExp(`app:v1 .*overridden by ${denial.id}`))
    const about = await scene.run(['deny', 'list', 'docker.io/library/app:v1'])
    expect(about.output).toMatch(/docker\.io\/\*\*:v1 .*decides/)
    expect(about.output).not.toContain('quay.io')
  })

  it('is explained, on the host and from elsewhere', async () => {
    await using scene = await startScene({ allow: ['docker.io/library/*'] })
    await scene.done(['deny', 'add', 'quay.io/**', '--reason', 'not mended'])
    const { env } = await scene.robot('operate=**')
    for (const place of [[], ['--server', scene.url]]) {
      const explain = (image: string) => scene.run(['explain', image, ...place], { env })
      const allowed = await explain('docker.io/app:v1')
      expect(allowed).toMatchObject({ code: 0, errors: '' })
      expect(allowed.output).toMatch(/image +docker\.io\/library\/app:v1\n/)
      expect(allowed.output).toContain(`Allowed by the file's rule "docker.io/library/*".`)
      const denied = await explain('quay.io/coreos/etcd:v1')
      expect(denied.output).toContain(`Refused: an operator's rule "quay.io/**" denies it.`)
    }
  })
})

describe('a user', () => {
  it('may pull what is granted, until that is changed or the user is removed', async () => {
    await using scene = await startScene({ anonymous: [] })
    const grant = ['--grant', 'pull=docker.io/**']
    await scene.done(['users', 'add', 'bob', ...grant, '--password-stdin'], { input: PASSWORD })
    const asBob = (path: string) => scene.as('bob', PASSWORD, path)
    expect([await asBob(APP), await asBob(ETCD), await scene.status(APP)]).toEqual([200, 403, 401])
    await scene.done(['users', 'grant', 'bob', '--grant', 'pull=quay.io/**'])
    expect([await asBob(APP), await asBob(ETCD)]).toEqual([403, 200])
    await scene.done(['users', 'passwd', 'bob', '--password-stdin'], { input: 'another password' })
    expect([await asBob(ETCD), await scene.as('bob', 'another password', ETCD)]).toEqual([401, 200])
    await scene.done(['users', 'remove', 'bob'])
    expect(await scene.as('bob', 'another password', ETCD)).toBe(401)
  })

  it('stays an admin while there is no other, also for who is on the host', async () => {
    await using scene = await startScene()
    const grant = ['--grant', 'admin=**', '--password-stdin']
    await scene.done(['users', 'add', 'alice', ...grant], { input: PASSWORD })
    for (const args of [
      ['users', 'remove', 'alice'],
      ['users', 'grant', 'alice', '--grant', 'admin=docker.io/**'],
    ]) {
      const refused = await scene.run(args)
      expect(refused).toMatchObject({ code: 1, output: '' })
      expect(refused.errors).toMatch(/^Nobody could administer this mirror after that\.[^\n]+\n$/)
    }
    expect(await scene.as('alice', PASSWORD, '/api/v1/users')).toBe(200)
    const { id } = await scene.robot('admin=**')
    await scene.done(['users', 'remove', 'alice'])
    expect((await scene.run(['tokens', 'remove', id])).code).toBe(1)
  })
})

describe('a mistake of whoever calls', () => {
  it.each([
    ['no action', ['allow']],
    ['a pattern without an upstream', ['allow', 'add', 'redis']],
    ['two ends', ['tokens', 'add', 'ci', '--for', '1d', '--until', '2099-01-01']],
    ['an end that has passed', ['deny', 'add', 'docker.io/**', '--until', '2001-01-01']],
    ['an option of another command', ['deny', 'add', 'docker.io/**', '--min-age', '3d']],
    ['nobody to ask for a password', ['users', 'add', 'bob']],
    ['a password that is too short', ['users', 'add', 'bob', '--password-stdin']],
    ['an image without a digest', ['content', 'approve', 'docker.io/library/app:v1']],
    ['nobody who asks', ['allow', 'list', '--server', 'http://127.0.0.1:1']],
  ])('such as %s ends with 2 and one line', async (_mistake, args) => {
    await using folder = await makeFolder({})
    const { code, output, errors } = await run(build, [...args, '--config', folder.config], {
      input: 'no',
    })
    expect({ code, output }).toEqual({ code: 2, output: '' })
    expect(errors).toMatch(/^\S[^\n]*\n$/)
  })

  it('is told from what cannot be done, which ends with 1 and one line', async () => {
    await using folder = await makeFolder({ allow: ['quay.io/**'] })
    for (const args of [
      ['allow', 'remove', 'docker.io/**'],
      ['allow', 'remove', 'quay.io/**'],
      ['requests', 'dismiss', 'r-aaaaaaaaaa'],
      ['users', 'remove', 'nobody'],
    ]) {
      const { code, output, errors } = await run(build, [...args, '--config', folder.config])
      expect({ args, code, output }).toEqual({ args, code: 1, output: '' })
      expect(errors).toMatch(/^\S[^\n]*\n$/)
    }
  })
})

describe('the API', () => {
  const OPERATORS = ['/api/v1/whoami', '/api/v1/openapi.json', '/metrics', '/status']

  it('answers on a listener of its own, and the registry elsewhere', async () => {
    await using scene = await startScene({ api: '127.0.0.1:0' })
    const [ready] = scene.program.log.filter(({ msg }) => msg === 'the mirror is ready')
    const apiUrl = String(ready?.['apiUrl'])
    expect(firstToken(scene.program).url).toBe(apiUrl)
    const { bearer } = await scene.robot('admin=**')
    const ask = async (url: string, path: string) =>
      (await request({ url, path, headers: { authorization: bearer } })).status

    for (const path of OPERATORS) {
      expect([path, await ask(scene.url, path)]).toEqual([path, 404])
      expect([path, await ask(apiUrl, path)]).toEqual([path, 200])
    }
    for (const path of [APP, '/v2/', '/token']) {
      expect([path, await ask(scene.url, path)]).toEqual([path, 200])
      expect([path, await ask(apiUrl, path)]).toEqual([path, 404])
    }
  })

  it('answers nowhere where it is off, and nobody is told a token for it', async () => {
    await using scene = await startScene({ api: 'off' })
    expect(scene.program.errors).toBe('')
    for (const path of OPERATORS) expect([path, await scene.status(path)]).toEqual([path, 404])
    await scene.done(['deny', 'add', 'docker.io/**'])
    expect(await scene.status(APP)).toBe(403)
  })
})

describe('what operators have decided', () => {
  it('survives a restart, a catalog that is made anew, and one that is lost', async () => {
    await using scene = await startScene({ anonymous: [], allow: ['quay.io/**'] })
    const admin = await decideEverything(scene)
    const { bearer } = await scene.robot('pull=docker.io/**')
    const asBob = { authorization: basic('bob', PASSWORD) }
    const token = await bearerToken(scene.url, asBob)
    const decided = await everything(admin)
    const expectAsBefore = async (): Promise<void> => {
      expect(await everything(admin)).toEqual(decided)
      for (const authorization of [bearer, asBob.authorization, `Bearer ${token}`]) {
        expect(await scene.status(APP, { authorization })).toBe(200)
        expect(await scene.status(ETCD, { authorization })).toBe(403)
      }
      expect(await scene.status(APP)).toBe(401)
    }
    await expectAsBefore()
    await scene.restart()
    await expectAsBefore()

    await scene.stop()
    expect((await scene.run(['verify', '--rebuild'])).code).toBe(0)
    await scene.restart()
    await expectAsBefore()

    await scene.stop()
    for (const end of ['', '-wal', '-shm']) {
      await rm(join(scene.data, `catalog.sqlite${end}`), { force: true })
    }
    await scene.restart()
    await expectAsBefore()
  })

  it('is in the audit, which tells when somebody has changed it', async () => {
    await using scene = await startScene({ anonymous: [] })
    const { get, bearer, env } = await decideEverything(scene)
    expect(await scene.as('bob', 'wrong password', APP)).toBe(401)
    await until(async () => (await auditActions({ get })).includes('login.failed'))
    const told = await auditActions({ get })
    for (const action of ['rule.add', 'user.add', 'token.add', 'content.approve', 'tag.freeze']) {
      expect(told).toContain(action)
    }
    const verify = ['audit', '--verify', '--json']
    expect(await scene.json(verify.slice(0, 2))).toEqual({ entries: told.length })
    for (const secret of [PASSWORD, bearer.split('_').at(-1) ?? '']) {
      expect(await get('/audit')).not.toContain(secret)
    }

    const sql = new Database(join(scene.data, 'control.sqlite'))
    sql.prepare(`UPDATE audit SET actor = 'host:nobody' WHERE sequence = 2`).run()
    sql.close()
    for (const place of [[], ['--server', scene.url]]) {
      const broken = await scene.run([...verify, ...place], { env })
      expect(broken.code).toBe(1)
      expect(JSON.parse(broken.output)).toEqual({ entries: 1, brokenAt: 2 })
    }
  })
})

/** One decision of every kind that stays, by an admin. */
async function decideEverything(scene: Scene): Promise<Robot> {
  await scene.done(['allow', 'add', 'docker.io/library/*', '--for', '30d', '--reason', 'build'])
  const admin = await scene.robot('admin=**')
  const image = 'docker.io/library/app'
  const grants = [{ role: 'pull', pattern: 'docker.io/**' }]
  await admin.post('/rules', { effect: 'deny', pattern: 'quay.io/coreos/**' })
  await admin.post('/users', { name: 'bob', password: PASSWORD, grants })
  await admin.post('/approvals', { image: `${image}@${IMAGE.digest}` })
  await admin.post('/frozen-tags', { image: `${image}:v1@${IMAGE.digest}`, reason: 'tested' })
  return admin
}

async function everything({ get }: Robot): Promise<unknown[]> {
  const found: unknown[] = []
  for (const list of ['rules', 'users', 'tokens', 'approvals', 'frozen-tags']) {
    found.push(JSON.parse(await get(`/${list}`)))
  }
  return found
}

async function auditActions({ get }: Pick<Robot, 'get'>): Promise<string[]> {
  const lines = (await get('/audit')).trim().split('\n')
  return lines.map((line) => (JSON.parse(line) as { action: string }).action)
}

async function bearerToken(url: string, headers: Record<string, string>): Promise<string> {
  const { body } = await request({ url, path: '/token', headers })
  return (JSON.parse(body.toString()) as { token: string }).token
}

function firstToken({ errors }: Program): { token: string; url: string } {
  const line = /ENTREPOT_TOKEN=(entp_\S+) entrepot users add NAME .* --server (\S+)\n/
  const [, token, url] = line.exec(errors) ?? []
  if (token === undefined || url === undefined) throw new Error(`No token is told: ${errors}`)
  return { token, url }
}
