/** The audit goes out line by line, no faster than it is taken. */
import { request as requestHttp } from 'node:http'
import { describe, expect, it } from 'vitest'
import type { Operator } from '../../../src/control/operator.ts'
import { createGate } from '../../fakes/gate.ts'
import { openStream } from '../../support/client.ts'
import { until, within } from '../../support/until.ts'
import { auditEntry, createFakeOperator, CREATED_AT } from './fake-operator.ts'
import { serveApi, type ServedApi } from './serve-api.ts'

type Audit = Operator['audit']

/** How far somebody has read, and whether they have stopped. */
interface Progress {
  read: number
  ended: boolean
}

/** @param last entry that there is; undefined for no end */
function following(progress: Progress, last = Infinity): Audit {
  return async function* () {
    try {
      while (progress.read < last) yield auditEntry((progress.read += 1))
    } finally {
      progress.ended = true
    }
  }
}

function serveAudit(audit: Audit): Promise<ServedApi> {
  return serveApi(createFakeOperator({ audit }))
}

function open({ url }: ServedApi) {
  return openStream({ url, path: '/api/v1/audit', headers: { Authorization: 'Bearer admin' } })
}

describe('/audit', () => {
  it('has an entry in each line, times as everywhere', async () => {
    await using served = await serveApi(createFakeOperator())
    const { status, headers, body, complete } = await served.ask('/audit')
    expect([status, headers['content-type'], complete]).toEqual([200, 'application/x-ndjson', true])
    const lines = body.toString().split('\n')
    expect(lines.pop()).toBe('')
    const at = new Date(CREATED_AT).toISOString()
    expect(lines.map((line) => JSON.parse(line))).toEqual(
      [1, 2].map((sequence) => JSON.parse(JSON.stringify({ ...auditEntry(sequence), at }))),
    )
    const line = await until(() => served.logs.find(({ msg }) => msg === 'request'))
    expect(line).toMatchObject({ bytes: body.length })
  })

  it('is empty when there is nothing', async () => {
    await using served = await serveAudit(following({ read: 0, ended: false }, 0))
    const { status, body } = await served.ask('/audit')
    expect([status, body.length]).toEqual([200, 0])
  })

  it('sends what there is while the rest is looked for', async () => {
    const gate = createGate()
    await using served = await serveAudit(async function* () {
      yield auditEntry(1)
      await gate.pass()
      yield auditEntry(2)
    })
    const stream = await open(served)
    const line = await within(stream.read(40))
    expect(line.toString()).toMatch(/^\{"sequence":1,/)
    gate.open()
    expect((await stream.rest()).toString()).toContain('{"sequence":2,')
    expect(stream.complete).toBe(true)
  })

  it('waits for a client that does not read, and ends with it', async () => {
    const progress: Progress = { read: 0, ended: false }
    await using served = await serveAudit(following(progress))
    const stream = await open(served)
    await stream.read(1)
    // The buffers in between are full when nothing has been read for a while.
    let before = -1
    await until(async () => {
      const [last, now] = [before, progress.read]
      before = now
      await served.ask('/whoami')
      return last === now
    })
    expect(progress.ended).toBe(false)
    expect(progress.read).toBeLessThan(100_000)
    stream.abort()
    await until(() => progress.ended)
  })

  it('stops also when the client has left before the first entry', async () => {
    const gate = createGate()
    let ended = false
    await using served = await serveAudit(async function* () {
      try {
        await gate.pass()
        yield auditEntry(1)
        yield auditEntry(2)
      } finally {
        ended = true
      }
    })
    const headers = { Authorization: 'Bearer admin' }
    const leaving = requestHttp(`${served.url}/api/v1/audit`, { agent: false, headers })
    leaving.on('error', () => undefined).end()
    await within(gate.reached)
    leaving.destroy()
    await until(() => served.logs.some(({ msg }) => msg === 'request'))
    gate.open()
    expect(await until(() => ended)).toBe(true)
  })

  it('breaks off where an entry cannot be read, so that nobody takes it for the whole', async () => {
    const gate = createGate()
    await using served = await serveAudit(async function* () {
      yield auditEntry(1)
      await gate.pass()
      throw new Error('The disk is gone.')
    })
    const stream = await open(served)
    expect((await within(stream.read(40))).length).toBe(40)
    gate.open()
    const rest = await stream.rest()
    expect(stream.complete).toBe(false)
    expect(rest.toString()).not.toContain('The disk is gone.')
    const line = await until(() => served.logs.find(({ msg }) => msg === 'request'))
    expect(line).toMatchObject({ cut: true, reason: 'The disk is gone.' })
  })

  it('asks for no more than the first entry for HEAD', async () => {
    const progress: Progress = { read: 0, ended: false }
    await using served = await serveAudit(following(progress))
    const { status, headers } = await served.ask('/audit', { method: 'HEAD' })
    expect([status, headers['content-type']]).toEqual([200, 'application/x-ndjson'])
    expect(progress).toEqual({ read: 1, ended: true })
  })
})
