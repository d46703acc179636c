/** The worker processes: started, replaced when they die, stopped. Knows nothing of what they do. */
import { fork, type ChildProcess } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import type { Log } from '../log.ts'
import { createLineRelay, writeWhole } from './line-relay.ts'
import { createRestartPace } from './restart-pace.ts'

/** What the main process has of a worker. */
export interface Attached {
  /** Resolves when it serves; rejects where it cannot. */
  readonly serving: Promise<void>
  /** Asks it to stop; resolves when it has. */
  stop(grace: number): Promise<void>
  /** Called once, when the process is gone. */
  gone(): void
}

export interface WorkerPool {
  /**
   * Resolves when all serve.
   * @throws what keeps one of them from serving
   */
  start(): Promise<void>
  /** @param grace milliseconds for running answers */
  close(grace: number): Promise<void>
}

interface PoolOptions {
  /** Path of the program of a worker. */
  readonly program: string
  readonly count: number
  readonly attach: (worker: ChildProcess) => Attached
  readonly log: Log
}

/** Milliseconds in which a worker must have begun to serve. */
const START_DEADLINE = 30_000
/** Milliseconds behind the grace, after which a worker is killed. */
const STOP_DEADLINE = 5000

interface Running {
  readonly worker: ChildProcess
  readonly attached: Attached
  readonly exited: Promise<Exit>
}

interface Exit {
  /** `null` when a signal ended it, or it never was. */
  readonly code: number | null
  readonly signal: string | null
}

export function createWorkerPool({ program, count, attach, log }: PoolOptions): WorkerPool {
  const running = new Set<Running>()
  const pauseAfterDeath = createRestartPace()
  const closing = new AbortController()
  const replacing = new Set<Promise<void>>()

  function launch(): Running {
    const worker = fork(program, [], {
      serialization: 'advanced',
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    })
    const relay = createLineRelay((lines) => writeWhole(1, lines))
    worker.stdout?.on('data', relay).once('end', () => relay())
    const attached = attach(worker)
    const exited = endOf(worker)
    const one: Running = { worker, attached, exited }
    running.add(one)
    void exited.then(() => {
      running.delete(one)
      attached.gone()
    })
    return one
  }

  /** @throws where it ends before it serves, or does not begin to in time */
  async function startOne(): Promise<void> {
    const { worker, attached, exited } = launch()
    const timer = setTimeout(() => worker.kill('SIGKILL'), START_DEADLINE)
    try {
      await attached.serving
    } catch (error) {
      worker.kill('SIGKILL')
      await exited
      throw error
    } finally {
      clearTimeout(timer)
    }
    void exited.then(({ code, signal }) => {
      if (closing.signal.aborted) return
      log.error({ pid: worker.pid, code, signal }, 'a worker has died: another one takes its place')
      const replaced = replace().finally(() => replacing.delete(replaced))
      replacing.add(replaced)
    })
  }

  async function replace(): Promise<void> {
    while (!closing.signal.aborted) {
      try {
        await delay(pauseAfterDeath(), undefined, { signal: closing.signal, ref: false })
        return await startOne()
      } catch (error) {
        if (!closing.signal.aborted) log.warn({ err: error }, 'a worker could not be started')
      }
    }
  }

  async function stop({ worker, attached, exited }: Running, grace: number): Promise<void> {
    const timer = setTimeout(() => worker.kill('SIGKILL'), grace + STOP_DEADLINE)
    try {
      await Promise.race([attached.stop(grace).catch(() => undefined), exited])
      if (worker.connected) worker.disconnect()
      await exited
    } finally {
      clearTimeout(timer)
    }
  }

  return {
    async start() {
      await Promise.all(Array.from({ length: count }, startOne))
    },
    async close(grace) {
      closing.abort(new Error('The mirror is shutting down.'))
      await Promise.all([...running].map((one) => stop(one, grace)))
      await Promise.all(replacing)
    },
  }
}

/** Resolves when it is gone and all that it wrote is here; `close` does not come behind a `disconnect`. */
async function endOf(worker: ChildProcess): Promise<Exit> {
  const { stdout } = worker
  const written = stdout && new Promise<void>((resolve) => stdout.once('close', resolve))
  const exit = await new Promise<Exit>((resolve) => {
    worker.once('exit', (code, signal) => resolve({ code, signal }))
    // Also for a channel that breaks, which is followed by the end.
    worker.on('error', () => {
      if (worker.pid === undefined) resolve({ code: null, signal: null })
    })
  })
  if (worker.pid !== undefined) await written
  return exit
}
