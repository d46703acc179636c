import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createUpstreamWork, type UpstreamWork } from '../../src/cache/upstream-work.ts'
import { OciError } from '../../src/oci/error.ts'
import { UpstreamError } from '../../src/upstream/upstream.ts'
import { createGate } from '../fakes/gate.ts'

let elapsed = 0

// The memory of failures reads this clock, and keeps what it read until a timer of 1 ms fires.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  vi.spyOn(performance, 'now').mockImplementation(() => elapsed)
})

afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

function createWork(): UpstreamWork {
  return createUpstreamWork(new AbortController().signal)
}

/** How often the work is really done when it is asked for once more after so many milliseconds. */
async function runsWithin(work: UpstreamWork, error: Error, milliseconds: number): Promise<number> {
  let runs = 0
  const fail = () => {
    runs += 1
    return Promise.reject(error)
  }
  await expect(work.share('key', fail).result).rejects.toBe(error)
  elapsed += milliseconds
  vi.advanceTimersByTime(1)
  await expect(work.share('key', fail).result).rejects.toBe(error)
  return runs
}

describe('work on an upstream', () => {
  it('is shared by all who want it at the same time', async () => {
    const work = createWork()
    const gate = createGate()
    let runs = 0
    const run = async () => {
      runs += 1
      await gate.pass()
      return runs
    }

    const [first, second] = [work.share('key', run), work.share('key', run)]
    const other = work.share('other', async () => 'other')
    gate.open()

    expect([first.joined, second.joined, other.joined]).toEqual([false, true, false])
    expect([await first.result, await second.result, await other.result]).toEqual([1, 1, 'other'])
  })

  it('that succeeded is done again', async () => {
    const work = createWork()
    await work.share('key', async () => 1).result

    expect(await work.share('key', async () => 2).result).toBe(2)
  })

  it.each([
    ['not-found', undefined, 9_000, 11_000],
    ['unauthorized', undefined, 9_000, 11_000],
    ['unavailable', undefined, 1_900, 2_100],
    ['corrupt', undefined, 1_900, 2_100],
    ['rate-limited', 4, 3_900, 4_100],
    ['rate-limited', 3600, 9_000, 11_000],
    ['rate-limited', 0, 0, 2_000],
  ] as const)(
    'E-32: that failed as %s (Retry-After %s) is not repeated after %i ms, but after %i ms',
    async (reason, retryAfter, early, late) => {
      const error = new UpstreamError(reason, 'No.', {
        ...(retryAfter !== undefined && { retryAfter }),
      })

      expect(await runsWithin(createWork(), error, early)).toBe(1)
      expect(await runsWithin(createWork(), error, late)).toBe(2)
    },
  )

  it.each([new OciError('MANIFEST_INVALID', 'Not JSON.'), new Error('A bug of ours.')])(
    'that failed otherwise is repeated at once: %s',
    async (error) => {
      expect(await runsWithin(createWork(), error, 0)).toBe(2)
    },
  )

  it('E-34: is given up after 25 s, before clients do', async () => {
    const deadline = new AbortController()
    const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValue(deadline.signal)
    const work = createWork()
    const { result } = work.share('key', untilAborted)

    deadline.abort(new Error('TimeoutError'))

    await expect(result).rejects.toMatchObject({
      name: 'UpstreamError',
      reason: 'unavailable',
      cause: { message: 'TimeoutError' },
    })
    expect(timeout).toHaveBeenCalledExactlyOnceWith(25_000)
  })

  it('ends at shutdown, with its reason', async () => {
    const shutdown = new AbortController()
    const work = createUpstreamWork(shutdown.signal)
    const { result } = work.share('key', untilAborted)
    const reason = new Error('The mirror is shutting down.')

    shutdown.abort(reason)

    await expect(result).rejects.toBe(reason)
    await work.idle()
  })

  it('is waited for by idle', async () => {
    const work = createWork()
    const gate = createGate()
    const events: string[] = []
    const { result } = work.share('key', () => gate.pass())
    void result.then(() => events.push('work'))
    const idle = work.idle().then(() => events.push('idle'))

    gate.open()
    await idle

    expect(events).toEqual(['work', 'idle'])
  })

  it('that goes on alone is waited for by idle, with what it begins, and may fail', async () => {
    const work = createWork()
    const [first, second] = [createGate(), createGate()]
    const events: string[] = []
    const failing = async (): Promise<never> => {
      await first.pass()
      events.push('first')
      await work.share('key', () => second.pass()).result
      events.push('second')
      throw new Error('Nobody is told.')
    }
    work.goOn(failing())
    const idle = work.idle().then(() => events.push('idle'))

    first.open()
    await second.reached
    expect(events).toEqual(['first'])
    second.open()
    await idle

    expect(events).toEqual(['first', 'second', 'idle'])
  })
})

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error))
  })
}
