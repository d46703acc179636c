import { describe, expect, it } from 'vitest'
import { factsOf } from '../src/doctor/certificate.ts'
import { ok, skipped, warning, type Finding } from '../src/doctor/finding.ts'
import { codeOf, reasonOf } from '../src/doctor/network-words.ts'
import { runChecks, type Check } from '../src/doctor/run.ts'
import { sizeText } from '../src/size-text.ts'
import { createGate } from './fakes/gate.ts'
import { within } from './support/until.ts'

async function findingsOf(...checks: readonly Check[]): Promise<string[]> {
  const found: Finding[] = []
  await runChecks(checks, new AbortController().signal, (it) => void found.push(it))
  return found.map(({ check, state, found: text }) => `${check} ${state}: ${text}`)
}

describe('checks', () => {
  it('run at the same time, and are told in order', async () => {
    const gate = createGate()
    const slow: Check = {
      name: 'slow',
      async run() {
        await gate.pass()
        return ok('a')
      },
    }
    const quick: Check = {
      name: 'quick',
      async run() {
        // The first one waits for this: one after the other they would not end.
        gate.open()
        return [ok('b'), warning('c', 'd')]
      },
    }
    expect(await findingsOf(slow, quick)).toEqual(['slow ok: a', 'quick ok: b', 'quick warning: c'])
  })

  it('are skipped where one that they need has failed or was skipped, not after a warning', async () => {
    const broken: Check = { name: 'broken', run: () => Promise.reject(new Error('no')) }
    const idle: Check = { name: 'idle', run: async () => skipped('why') }
    const doubtful: Check = { name: 'doubtful', run: async () => warning('w', 'a') }
    const needing = (name: string, ...needs: Check[]): Check => ({
      name,
      needs,
      run: async () => ok('ran'),
    })
    const second = needing('second', broken)
    const checks = [
      broken,
      idle,
      doubtful,
      second,
      needing('third', second),
      needing('fourth', idle),
      needing('fifth', doubtful),
    ]
    expect(await findingsOf(...checks)).toEqual([
      'broken failed: no',
      'idle skipped: why',
      'doubtful warning: w',
      'second skipped: not looked at: "broken" comes first',
      'third skipped: not looked at: "second" comes first',
      'fourth skipped: not looked at: "idle" comes first',
      'fifth ok: ran',
    ])
  })

  it('end at their deadline, whether they listen or not', async () => {
    const deaf: Check = { name: 'deaf', deadline: 5, run: () => new Promise(() => undefined) }
    const listening: Check = {
      name: 'listening',
      deadline: 5,
      run: (signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('aborted')))
        }),
    }
    const late = 'failed: no result within 0.005 s'
    const findings = await within(findingsOf(deaf, listening), { what: 'the deadlines' })
    expect(findings).toEqual([`deaf ${late}`, `listening ${late}`])
  })

  it('say what was thrown, whatever it is', async () => {
    const thrown: unknown = 'a text'
    const odd: Check = { name: 'odd', run: () => Promise.reject(thrown) }
    expect(await findingsOf(odd)).toEqual(['odd failed: a text'])
  })

  it('are not told after the end', async () => {
    const stop = new AbortController()
    const found: Finding[] = []
    const one: Check = {
      name: 'one',
      async run() {
        stop.abort(new Error('enough'))
        return ok('done')
      },
    }
    const ended = runChecks([one], stop.signal, (it) => void found.push(it))
    await expect(ended).rejects.toThrow('enough')
    expect(found).toEqual([])
  })
})

describe('words', () => {
  it('are found for what the system says', () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
    expect(reasonOf(refused)).toBe('nothing listens there')
    expect(reasonOf(new AggregateError([refused]))).toBe('nothing listens there')
    expect(reasonOf(new AggregateError([], 'several'))).toBe('several')
    expect(reasonOf(new Error('as it is'))).toBe('as it is')
    expect(reasonOf(Object.assign(new Error(''), { code: 'EOTHER' }))).toBe('EOTHER')
    expect([codeOf(undefined), codeOf({ code: 7 })]).toEqual(['', ''])
  })

  it('are found for sizes', () => {
    expect([0, 1023.6, 1024, 5.5 * 2 ** 40, 2 ** 60, -1].map(sizeText)).toEqual([
      '0 bytes',
      '1024 bytes',
      '1.0 KiB',
      '5.5 TiB',
      '1048576.0 TiB',
      '0 bytes',
    ])
  })

  it('are none for what is no certificate', () => {
    expect(factsOf('nothing')).toEqual([])
  })
})
