import { describe, expect, it } from 'vitest'
import type { Config } from '../../src/config/schema.ts'
import { parse, problems } from './fixtures.ts'

const OK = 'upstreams: { docker.io: {} }\n'
const GIB = 2 ** 30

function disk(text: string): Partial<Config> {
  const { budget, lowWatermark, maxUnused, minFree, scrubRate } = parse(OK + text)
  return { budget, lowWatermark, maxUnused, minFree, scrubRate }
}

describe('the disk', () => {
  it('without a word has no budget and no age, and is left some room and checked', () => {
    expect(disk('')).toEqual({
      budget: undefined,
      lowWatermark: undefined,
      maxUnused: undefined,
      minFree: 64 * 2 ** 20,
      scrubRate: 8 * 2 ** 20,
    })
  })

  it('is what the file says', () => {
    const text = `
budget: 200GiB
lowWatermark: 180GiB
maxUnused: 30d
minFree: 1GiB
scrub: 32MiB
`
    expect(disk(text)).toEqual({
      budget: 200 * GIB,
      lowWatermark: 180 * GIB,
      maxUnused: 30 * 86_400_000,
      minFree: GIB,
      scrubRate: 32 * 2 ** 20,
    })
  })

  it.each([
    ['200GiB', 180 * GIB],
    ['0.001KiB', 1],
    ['0.007KiB', 6],
  ])('with a budget of %s is emptied to nine tenths, in whole bytes', (budget, lowWatermark) => {
    expect(disk(`budget: ${budget}\n`)).toMatchObject({ lowWatermark })
  })

  it('may be emptied to the budget and no further, used to the last byte, and never be checked', () => {
    const text = 'budget: 1GiB\nlowWatermark: 1024MiB\nmaxUnused: 60s\nminFree: 0GiB\nscrub: off\n'
    expect(disk(text)).toEqual({
      budget: GIB,
      lowWatermark: GIB,
      maxUnused: 60_000,
      minFree: 0,
      scrubRate: 0,
    })
  })
})

describe('is refused where it is wrong:', () => {
  const noSize = 'is not a size; write for example 200GiB (units KiB, MiB, GiB, TiB)'
  it.each([
    ['budget: 0GiB', 'budget: "0GiB" is nothing; leave the key out for no limit'],
    ['budget: 50', 'budget: found 50; write a size such as 200GiB (units KiB, MiB, GiB, TiB)'],
    [
      'lowWatermark: 1GiB',
      'lowWatermark: means nothing without budget; add a budget, or remove it',
    ],
    [
      'maxUnused: 59s',
      'maxUnused: "59s" is too short for anything to be pulled twice; write at least 1m, or leave the key out for never',
    ],
    [
      'maxUnused: never',
      'maxUnused: "never" is not a duration; write for example 5m (units s, m, h, d)',
    ],
    ['maxUnused: 30', 'maxUnused: found 30; write a duration such as 5m (units s, m, h, d)'],
    ['minFree: 5%', `minFree: "5%" ${noSize}`],
    ['minFree: 0', 'minFree: found 0; write a size such as 200GiB (units KiB, MiB, GiB, TiB)'],
    ['minFree:', 'minFree: found nothing; write a size such as 200GiB (units KiB, MiB, GiB, TiB)'],
    [
      'scrub: 8MiB/s',
      'scrub: "8MiB/s" is not a rate; write how much is checked in a second, for example 8MiB, or off',
    ],
    [
      'scrub: 63.999KiB',
      'scrub: "63.999KiB" is too slow to get anywhere; write at least 64KiB, or off',
    ],
    [
      'scrub: false',
      'scrub: found false; write how much is checked in a second, such as 8MiB, or off',
    ],
  ])('%s', (line, problem) => {
    expect(problems(`${OK}${line}\n`)).toEqual([`2 ${problem}`])
  })

  it.each([
    ['1.001GiB', '"1.001GiB" is more than budget; write at most that'],
    ['0MiB', '"0MiB" would empty the whole store; write for example nine tenths of budget'],
    ['90%', `"90%" ${noSize}`],
  ])('a low watermark of %s for a budget of 1GiB', (text, problem) => {
    expect(problems(`${OK}budget: 1GiB\nlowWatermark: ${text}\n`)).toEqual([
      `3 lowWatermark: ${problem}`,
    ])
  })

  it.each(['200GB', '5', '"${UNSET}"'])(
    'a budget of %s, without a word about the low watermark, which is as good as it was',
    (budget) => {
      expect(problems(`${OK}budget: ${budget}\nlowWatermark: 1TiB\n`)).toEqual([
        expect.stringContaining('2 budget: '),
      ])
    },
  )
})

describe('pin', () => {
  it('takes patterns as allow does', () => {
    const { pin } = parse(`${OK}pin: [docker.io/library/*, "\${TEAM}:v1.*", '**:stable']\n`, {
      env: { TEAM: 'docker.io/team/app' },
    })
    expect(pin).toEqual(['docker.io/library/*', 'docker.io/team/app:v1.*', '**:stable'])
  })

  it('is checked as allow is', () => {
    expect(problems(`${OK}pin: [docker.io, dokcer.io/x, docker.io/x, 1]\n`)).toEqual([
      '2 pin[3]: found 1; write a pattern such as docker.io/library/*, in quotes where in doubt',
      '2 pin[0]: "docker.io" names an upstream only; write docker.io/** for everything of it',
      '2 pin[1]: "dokcer.io/x" begins with what is not under "upstreams"; did you mean docker.io?',
    ])
    expect(problems(`${OK}pin: docker.io/x\n`)).toEqual([
      '2 pin: found "docker.io/x"; write a list, each line of which is "- " and a pattern such as docker.io/library/*',
    ])
  })
})
