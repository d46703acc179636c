import { describe, expect, it } from 'vitest'
import { OciError } from '../../src/oci/error.ts'
import type { Tracing } from '../../src/tracing.ts'
import { type Channel, createChannel, type Handlers } from '../../src/workers/channel.ts'
import { createGate } from '../fakes/gate.ts'
import { until, within } from '../support/until.ts'
import { createPortPair, type PortPair } from './port-pair.ts'

interface Calls {
  add(a: number, b: number): number
  wait(name: string): string
  bytes(value: Uint8Array | undefined): Uint8Array | undefined
  fail(): never
}

interface Linked extends PortPair {
  readonly channel: Channel<Calls>
  readonly other: Channel<Calls>
  /** Of calls to `wait` that were aborted. */
  readonly aborted: readonly string[]
  readonly heard: readonly string[]
}

const NOTHING: Handlers<Calls> = {
  add: () => 0,
  wait: () => '',
  bytes: () => undefined,
  fail: () => {
    throw new Error('nothing is called here')
  },
}

function link(
  handlers: Partial<Handlers<Calls>> = {},
  beforeAnswer?: (there: PortPair['there']) => void,
): Linked {
  const pair = createPortPair()
  const aborted: string[] = []
  const heard: string[] = []
  const other = createChannel<Calls, Calls>(
    pair.there,
    {
      add: (a, b) => a + b,
      bytes: async (value) => value,
      wait: (name, signal) =>
        new Promise((_, reject) => {
          heard.push(name)
          signal.addEventListener('abort', () => {
            aborted.push(name)
            reject(signal.reason as Error)
          })
        }),
      fail: () => {
        throw new OciError('DENIED', 'No.')
      },
      ...handlers,
    },
    beforeAnswer && (() => beforeAnswer(pair.there)),
  )
  const channel = createChannel<Calls, Calls>(pair.here, NOTHING)
  return { ...pair, channel, other, aborted, heard }
}

describe('a call', () => {
  it('has the answer of the other side, each its own, whatever the order', async () => {
    const gate = createGate()
    const { channel } = link({
      async add(a, b) {
        if (a === 1) await gate.opened
        return a + b
      },
    })
    const first = channel.call('add', [1, 2])
    expect(await channel.call('add', [3, 4])).toBe(7)
    gate.open()
    expect(await first).toBe(3)
  })

  it('carries bytes, and nothing where there is nothing', async () => {
    const { channel } = link()
    const bytes = await channel.call('bytes', [Buffer.from('abc')])
    expect(Buffer.from(bytes ?? []).toString()).toBe('abc')
    expect(await channel.call('bytes', [undefined])).toBeUndefined()
  })

  it('throws what was thrown there', async () => {
    const { channel } = link()
    const error: unknown = await channel.call('fail', []).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(OciError)
    expect(error).toMatchObject({ code: 'DENIED', message: 'No.' })
  })

  it('of what there is not is an error, also where objects have it', async () => {
    const { channel } = link()
    for (const name of ['nothing', 'toString', '__proto__']) {
      const call = (channel as unknown as Channel<Record<string, () => void>>).call(name, [])
      await expect(call).rejects.toThrow(`There is no call ${name}.`)
    }
  })

  it('fails where its arguments or its result cannot be sent, and the next does not', async () => {
    const { channel } = link()
    const odd = (): void => undefined
    await expect(channel.call('wait', [odd as never])).rejects.toThrow('could not be cloned')
    const { channel: other } = link({ wait: () => odd as never })
    await expect(other.call('wait', ['a'])).rejects.toThrow('could not be cloned')
    expect(await other.call('add', [1, 2])).toBe(3)
    expect(await channel.call('add', [1, 2])).toBe(3)
  })

  it('ends with its signal at once, and there as well', async () => {
    const { channel, aborted, heard } = link()
    const leaving = new AbortController()
    const call = channel.call('wait', ['a'], leaving.signal)
    const other = channel.call('wait', ['b'])
    await until(() => heard.length === 2)
    leaving.abort(new Error('The client left.'))
    await expect(call).rejects.toThrow('The client left.')
    await until(() => aborted.length === 1)
    expect(aborted).toEqual(['a'])
    channel.close(new Error('over'))
    await expect(other).rejects.toThrow('over')
  })

  it('is not made for a signal that is aborted already', async () => {
    const { channel, sent } = link()
    const signal = AbortSignal.abort(new Error('too late'))
    await expect(channel.call('wait', ['a'], signal)).rejects.toThrow('too late')
    expect(sent).toEqual([])
  })

  it('keeps no listener on its signal when it has ended', async () => {
    const { channel } = link()
    const { signal } = new AbortController()
    let listeners = 0
    const add = signal.addEventListener.bind(signal)
    const remove = signal.removeEventListener.bind(signal)
    signal.addEventListener = (...args: Parameters<typeof add>) => ((listeners += 1), add(...args))
    signal.removeEventListener = (...args: Parameters<typeof remove>) => (
      (listeners -= 1),
      remove(...args)
    )
    await channel.call('add', [1, 2], signal)
    await channel.call('fail', [], signal).catch(() => undefined)
    expect(listeners).toBe(0)
  })

  it('that was given up has an answer that does no harm', async () => {
    const gate = createGate()
    const { channel } = link({
      async add(a, b) {
        await gate.pass()
        return a + b
      },
    })
    const leaving = new AbortController()
    const call = channel.call('add', [1, 2], leaving.signal)
    await gate.reached
    leaving.abort(new Error('gone'))
    await expect(call).rejects.toThrow('gone')
    gate.open()
    expect(await channel.call('add', [5, 5])).toBe(10)
  })
})

describe('a channel', () => {
  it('sends what must be known before an answer in front of it', async () => {
    const seen: unknown[] = []
    const pair = createPortPair()
    const other = createChannel<Calls, Calls>(
      pair.there,
      { ...NOTHING, add: (a, b) => a + b },
      () => other.tell('wait', ['first']),
    )
    const channel = createChannel<Calls, Calls>(pair.here, {
      ...NOTHING,
      wait: (name) => (seen.push(name), ''),
    })
    seen.push(await channel.call('add', [1, 1]))
    expect(seen).toEqual(['first', 2])
  })

  it('ends all calls of both sides when it is closed, and makes no more', async () => {
    const { channel, other, aborted, heard } = link()
    const call = channel.call('wait', ['a'])
    call.catch(() => undefined)
    await until(() => heard.length === 1)
    other.close(new Error('the process is gone'))
    expect(aborted).toEqual(['a'])
    channel.close(new Error('gone'))
    await expect(call).rejects.toThrow('gone')
    await expect(within(channel.call('add', [1, 2]))).rejects.toThrow('gone')
  })

  it('answers a call that nobody waits for with nothing, whatever becomes of it', async () => {
    const calls: number[] = []
    const { channel, sentBack } = link({ add: (a) => calls.push(a) })
    channel.tell('add', [1, 2])
    channel.tell('fail', [])
    await channel.call('add', [2, 2])
    expect(calls).toEqual([1, 2])
    expect(sentBack).toHaveLength(1)
  })
})

it('carries what a call is a part of, where that is traced', async () => {
  const { here, there, sent } = createPortPair()
  const resumed: (string | undefined)[] = []
  let current: string | undefined
  const tracing = {
    current: () => current,
    resume(traceparent: string | undefined, work: () => unknown) {
      resumed.push(traceparent)
      return work()
    },
  } as Tracing
  createChannel<Calls, Calls>(there, { ...NOTHING, add: (a, b) => a + b }, undefined, tracing)
  const traced = createChannel<Calls, Calls>(here, NOTHING, undefined, tracing)
  expect(await traced.call('add', [1, 2])).toBe(3)
  current = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  expect(await traced.call('add', [2, 2])).toBe(4)
  expect(resumed).toEqual([undefined, current])

  const { here: plain } = createPortPair()
  createChannel<Calls, Calls>(plain, NOTHING).tell('add', [1, 2])
  expect(sent.every((message) => 'trace' in (message as object))).toBe(true)
})
