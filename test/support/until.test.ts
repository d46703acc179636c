import { describe, expect, it } from 'vitest'
import { until, within } from './until.ts'

describe('until and within', () => {
  it('give what the condition gave', async () => {
    let asked = 0
    expect(await until(() => (asked += 1) === 3 && 'third')).toBe('third')
    expect(await within(Promise.resolve(1))).toBe(1)
  })

  it('say what they waited for in vain', async () => {
    await expect(until(() => false, { deadlineMs: 10, what: 'never' })).rejects.toThrow(
      'Waited 10 ms in vain until: never',
    )
    await expect(
      within(new Promise(() => undefined), { deadlineMs: 10, what: 'nothing' }),
    ).rejects.toThrow('Waited 10 ms in vain for: nothing')
  })
})
