import { describe, expect, it } from 'vitest'
import { createSingleFlight } from '../../src/cache/single-flight.ts'
import { createGate } from '../fakes/gate.ts'

describe('a single flight', () => {
  it('does the work once for all who ask meanwhile, and gives them the same', async () => {
    const flights = createSingleFlight()
    const gate = createGate()
    const result = { bytes: 'of a manifest' }
    let runs = 0
    const work = async () => {
      runs += 1
      await gate.pass()
      return result
    }

    const all = Array.from({ length: 50 }, () => flights.run('key', work))
    await gate.reached
    const late = flights.run('key', work)
    gate.open()

    expect(all.map(({ joined }) => joined)).toEqual([
      false,
      ...Array.from({ length: 49 }, () => true),
    ])
    expect(late.joined).toBe(true)
    for (const flight of [...all, late]) expect(await flight.result).toBe(result)
    expect(runs).toBe(1)
  })

  it('fails for all of them with the same error, and is not remembered', async () => {
    const flights = createSingleFlight()
    const failure = new Error('Upstream is down.')
    const failing = [1, 2].map(() => flights.run('key', () => Promise.reject(failure)))

    for (const { result } of failing) await expect(result).rejects.toBe(failure)

    const again = flights.run('key', async () => 'well')
    expect(again.joined).toBe(false)
    expect(await again.result).toBe('well')
  })

  it('is for one key', async () => {
    const flights = createSingleFlight()

    const one = flights.run('one', async () => 1)
    const two = flights.run('two', async () => 2)

    expect(two.joined).toBe(false)
    expect([await one.result, await two.result]).toEqual([1, 2])
  })

  it('begins anew once it has ended', async () => {
    const flights = createSingleFlight()
    await flights.run('key', async () => 1).result

    const second = flights.run('key', async () => 2)

    expect([second.joined, await second.result]).toEqual([false, 2])
  })

  it('is waited for by idle, together with those that begin meanwhile', async () => {
    const flights = createSingleFlight()
    const ended: string[] = []
    const [first, second] = [createGate(), createGate()]
    const failing = flights.run('failing', async () => {
      await first.pass()
      void flights.run('following', async () => {
        await second.pass()
        ended.push('following')
      })
      ended.push('failing')
      throw new Error('Upstream is down.')
    })
    failing.result.catch(() => undefined)
    const idle = flights.idle().then(() => ended.push('idle'))

    first.open()
    await second.reached
    await new Promise(setImmediate)
    expect(ended).toEqual(['failing'])
    second.open()
    await idle

    expect(ended).toEqual(['failing', 'following', 'idle'])
    await flights.idle()
  })
})
