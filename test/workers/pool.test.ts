/** Processes that come, die and are replaced, whatever they do. */
import type { ChildProcess } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { defer } from '../../src/cache/deferred.ts'
import { createLog } from '../../src/log.ts'
import { createFrontDoor } from '../../src/workers/front-door.ts'
import { createWorkerPool, type WorkerPool } from '../../src/workers/pool.ts'
import { processPort } from '../../src/workers/port.ts'
import { until, within } from '../support/until.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'entrepot-pool-'))
})
afterAll(() => rm(folder, { recursive: true }))

interface Pooled extends AsyncDisposable {
  readonly pool: WorkerPool
  /** All that were ever started. */
  readonly workers: readonly ChildProcess[]
  readonly logged: readonly Readonly<Record<string, unknown>>[]
  readonly gone: () => number
  readonly stopped: () => number
}

async function pooled(name: string, program: string, count = 2): Promise<Pooled> {
  const path = join(folder, `${name}.mjs`)
  await writeFile(path, program)
  const workers: ChildProcess[] = []
  const logged: Record<string, unknown>[] = []
  let [gone, stopped] = [0, 0]
  const write = (line: string): void =>
    void logged.push(JSON.parse(line) as Record<string, unknown>)
  const pool = createWorkerPool({
    program: path,
    count,
    log: createLog({ write }),
    attach(worker) {
      workers.push(worker)
      const serving = defer<void>()
      processPort(worker).receive(() => serving.resolve())
      return {
        serving: serving.promise,
        stop: async () => void (stopped += 1),
        gone() {
          gone += 1
          serving.reject(new Error('It is gone.'))
        },
      }
    },
  })
  return {
    pool,
    workers,
    logged,
    gone: () => gone,
    stopped: () => stopped,
    [Symbol.asyncDispose]: () => pool.close(0),
  }
}

const SERVES = `process.send({ message: 'serves' }, () => undefined); process.once('disconnect', () => process.exit())`

describe('a pool', () => {
  it('has so many processes, each with its own end', async () => {
    const crew = await pooled('serves', SERVES, 3)
    await crew.pool.start()
    expect(crew.workers.map(({ connected }) => connected)).toEqual([true, true, true])
    await within(crew.pool.close(1000))
    expect([crew.stopped(), crew.gone()]).toEqual([3, 3])
    expect(crew.workers.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0])
    expect(crew.logged).toEqual([])
  })

  it('has another one for each that dies', async () => {
    await using crew = await pooled('dies', SERVES)
    await crew.pool.start()
    crew.workers[0]?.kill('SIGKILL')
    await until(() => crew.workers.length === 3 && crew.gone() === 1)
    expect(crew.logged).toMatchObject([
      {
        level: 'error',
        pid: crew.workers[0]?.pid,
        signal: 'SIGKILL',
        msg: 'a worker has died: another one takes its place',
      },
    ])
  })

  it('does not start where one of them does not', async () => {
    await using crew = await pooled('fails', 'process.exit(3)')
    await expect(crew.pool.start()).rejects.toThrow('It is gone.')
    expect(crew.logged).toEqual([])
  })

  it('kills what does not stop', async () => {
    const crew = await pooled('stays', `${SERVES.split(';')[0]}; setInterval(() => {}, 1000)`, 1)
    await crew.pool.start()
    // Its grace, and what is allowed behind it.
    await within(crew.pool.close(0), { deadlineMs: 15_000 })
    expect(crew.workers[0]?.signalCode).toBe('SIGKILL')
  })
})

describe('a front door', () => {
  it('gives connections away unread, and takes none when it is closed', async () => {
    const given: (Buffer | null)[] = []
    const door = createFrontDoor('https', (socket) => {
      given.push(socket.read() as Buffer | null)
      socket.destroy()
    })
    const url = await door.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
    expect(url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/)
    const port = Number(new URL(url).port)
    const client = connect(port, '127.0.0.1')
    client.on('error', () => undefined).write('hello')
    await until(() => client.closed)
    expect(given).toEqual([null])
    door.close()
    const late = connect(port, '127.0.0.1')
    const error = await new Promise((resolve) => late.once('error', resolve))
    expect(error).toMatchObject({ code: 'ECONNREFUSED' })
  })
})
