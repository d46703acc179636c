import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { createChangeSignal } from '../../src/cache/change-signal.ts'

const { signal } = new AbortController()
const left = new Error('The client left.')

describe('a change signal', () => {
  it('wakes everybody who waits, once', async () => {
    const changes = createChangeSignal()
    const waiting = [changes.next(signal), changes.next(signal), changes.next(signal)]

    changes.notify()

    await expect(Promise.all(waiting)).resolves.toHaveLength(3)
  })

  it('does not remember a change for those who come later', async () => {
    const changes = createChangeSignal()
    changes.notify()
    const leaving = new AbortController()
    const waiting = changes.next(leaving.signal)

    leaving.abort(left)

    await expect(waiting).rejects.toBe(left)
  })

  it('wakes those who wait again while they are woken at the next change only', async () => {
    const changes = createChangeSignal()
    const woken: number[] = []
    const follow = async () => {
      for (let time = 1; time <= 2; time += 1) {
        await changes.next(signal)
        woken.push(time)
      }
    }
    const followers = [follow(), follow()]

    changes.notify()
    await Promise.resolve()
    await new Promise(setImmediate)
    expect(woken).toEqual([1, 1])
    changes.notify()
    await Promise.all(followers)

    expect(woken).toEqual([1, 1, 2, 2])
  })

  it('lets one leave, and wakes the others', async () => {
    const changes = createChangeSignal()
    const leaving = new AbortController()
    const [gone, staying] = [changes.next(leaving.signal), changes.next(signal)]

    leaving.abort(left)
    changes.notify()

    await expect(gone).rejects.toBe(left)
    await staying
  })

  it('lets nobody wait who has left already', async () => {
    const changes = createChangeSignal()

    await expect(changes.next(AbortSignal.abort(left))).rejects.toBe(left)
  })

  it('leaves no listener behind on the signal of a client that stays', async () => {
    const changes = createChangeSignal()
    const client = new AbortController()
    for (let time = 0; time < 20; time += 1) {
      const waiting = changes.next(client.signal)
      changes.notify()
      await waiting
    }

    expect(getEventListeners(client.signal, 'abort')).toEqual([])
  })
})
