/** Ways around rights, rules and ages, and of one operator to keep all others from pulling. */
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { buildImage } from '../fakes/images.ts'
import { startRegistry } from '../fakes/registry.ts'
import { openPeople } from '../support/people.ts'
import { request } from '../support/client.ts'
import { startMirror, type Mirror } from '../support/mirror.ts'
import { until } from '../support/until.ts'

const IMAGE = buildImage({ seed: 'attack', layers: [2000] })
const NEWER = buildImage({ seed: 'attack, pushed later', layers: [2000] })
const MANIFESTS = '/v2/quay.io/team/app/manifests'

async function acceptedLogins(mirror: Mirror): Promise<number> {
  const { body } = await mirror.get('/metrics')
  return Number(/entrepot_logins_total\{result="accepted"\} (\d+)/.exec(body.toString())?.[1] ?? 0)
}

describe('a right that is taken away', () => {
  it('is of no use to a request whose body comes after that', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'quay.io': registry } })
    const people = await openPeople(mirror)
    const leaving = await people.robot('leaving', 'admin **')
    const body = JSON.stringify({ name: 'stays', grants: [{ role: 'admin', pattern: '**' }] })
    const before = await acceptedLogins(mirror)

    const { hostname, port } = new URL(mirror.url)
    const socket = connect({ host: hostname, port: Number(port) })
    let answer = ''
    socket.on('data', (chunk) => (answer += chunk.toString('latin1')))
    socket.on('error', () => undefined)
    socket.write(
      `POST /api/v1/tokens HTTP/1.1\r\nHost: mirror\r\nAuthorization: Bearer ${leaving.token}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 10)}`,
    )
    await until(async () => (await acceptedLogins(mirror)) > before, { what: 'it was let in' })
    await people.api('DELETE', `/tokens/${leaving.id}`)
    socket.write(body.slice(10))
    await until(() => answer.includes('\r\n\r\n'), { what: 'an answer' })
    socket.destroy()
    expect(answer.slice(0, 12)).toMatch(/^HTTP\/1\.1 40[13]$/)
  })
})

describe('content that is too young', () => {
  it('is not let in by digest because a tag for signatures means it, too', async () => {
    await using registry = await startRegistry()
    registry.push('team/app', 'stable', IMAGE)
    await using mirror = await startMirror({
      upstreams: { 'quay.io': registry },
      allow: ['quay.io/team/app:stable'],
    })
    await mirror.pull('quay.io/team/app', 'stable')
    mirror.reload({ allow: [{ image: 'quay.io/team/app', minAge: '3d' }] })
    await mirror.app.idle()
    registry.push('team/app', 'stable', NEWER)
    await mirror.head(`${MANIFESTS}/stable`)
    await mirror.app.idle()
    expect((await mirror.get(`${MANIFESTS}/${NEWER.digest}`)).status).toBe(403)

    const signatures = `${IMAGE.digest.replace(':', '-')}.sig`
    registry.push('team/app', signatures, NEWER)
    await mirror.get(`${MANIFESTS}/${signatures}`)
    await mirror.app.idle()
    expect((await mirror.get(`${MANIFESTS}/${NEWER.digest}`)).status).toBe(403)
  })
})

describe('a token that is given where its id belongs', () => {
  it('does not get into the log', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'quay.io': registry } })
    const people = await openPeople(mirror)
    const { token } = await people.robot('ci', 'pull **')
    const { status } = await request({
      url: mirror.url,
      path: `/api/v1/tokens/${token}`,
      method: 'DELETE',
      headers: people.admin,
    })
    expect(status).toBeGreaterThanOrEqual(400)
    await until(() => mirror.logs.some((line) => line['status'] === status), { what: 'a line' })
    expect(JSON.stringify(mirror.logs)).not.toContain(token)
  })
})

describe('a request for access', () => {
  it('is open again when it is refused after the rule that let it in has gone', async () => {
    await using registry = await startRegistry()
    registry.push('team/app', 'v1', IMAGE)
    await using mirror = await startMirror({ upstreams: { 'quay.io': registry }, allow: [] })
    const people = await openPeople(mirror)
    const first = await mirror.get(`${MANIFESTS}/v1`)
    await mirror.app.idle()
    const id = /request (r-\w+)/.exec(first.body.toString())?.[1] ?? ''
    const rule = await people.api('POST', `/requests/${id}/approve`, { as: 'exact' })
    expect((await mirror.get(`${MANIFESTS}/v1`)).status).toBe(200)
    await people.api('DELETE', `/rules/${String(rule['id'])}`)
    expect((await mirror.get(`${MANIFESTS}/v1`)).status).toBe(403)
    await mirror.app.idle()
    const { requests } = await people.api('GET', '/requests')
    expect(requests).toEqual([expect.objectContaining({ id, state: 'open' })])
  })
})

describe('an operator of one team', () => {
  it('cannot add a pattern that takes long to look at', async () => {
    await using registry = await startRegistry()
    await using mirror = await startMirror({ upstreams: { 'quay.io': registry } })
    const people = await openPeople(mirror)
    const { headers } = await people.robot('operator', 'operate quay.io/team/**')
    const { status } = await request({
      url: mirror.url,
      path: '/api/v1/rules',
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify({ effect: 'deny', pattern: `quay.io/team/${'*a'.repeat(100)}b` }),
    })
    expect(status).toBe(400)
  })
})

describe('a configuration that is read again', () => {
  it('denies what it denies although its file of users is broken', async () => {
    await using registry = await startRegistry()
    registry.push('team/app', 'v1', IMAGE)
    await using mirror = await startMirror({ upstreams: { 'quay.io': registry } })
    const htpasswd = join(mirror.dataDir, '..', 'users')
    await writeFile(htpasswd, 'bob:$2b$10$half\n')
    mirror.reload({ htpasswd, deny: ['quay.io/team/app'] })
    await until(() => mirror.logs.some(({ level }) => level === 'error' || level === 'warn'), {
      what: 'a word about the file of users',
    })
    expect((await mirror.get(`${MANIFESTS}/v1`)).status).toBe(403)
  })
})
