import { describe, expect, it } from 'vitest'
import { parse, problems } from './fixtures.ts'

const OK = 'upstreams: { docker.io: {}, quay.io: {} }\n'

function withSchedule(schedule: string): string {
  return `${OK}warm: [{ schedule: '${schedule}', images: [redis] }]\n`
}

describe('a schedule', () => {
  it.each([
    '0 3 * * *',
    '*/15 0-6,22 1,15 jan-mar,DEC 1-5',
    '0  3 * * SUN',
    '5-55/10 */2 * * 7',
    '@hourly',
    '@yearly',
  ])('may be %s', (schedule) => {
    expect(parse(withSchedule(schedule)).warm).toMatchObject([{ schedule }])
  })

  it.each([
    ['', 'five fields'],
    ['0 3 * *', 'five fields'],
    ['0 0 3 * * *', 'five fields'],
    ['@often', 'five fields'],
    ['60 3 * * *', 'no minute'],
    ['0 24 * * *', 'no hour'],
    ['0 3 0 * *', 'no day of the month'],
    ['0 3 L * *', 'no day of the month'],
    ['0 3 * 13 *', 'no month'],
    ['0 3 * foo *', 'no month'],
    ['0 3 * * 8', 'no day of the week'],
    ['0 3 * * fri-mon', 'no day of the week'],
    ['1-2-3 3 * * *', 'no minute'],
    ['5/10 3 * * *', 'no minute'],
    ['*/0 3 * * *', 'no minute'],
    ['*/99 3 * * *', 'no minute'],
    [', 3 * * *', 'no minute'],
    ['-1 3 * * *', 'no minute'],
  ])('is no %j', (schedule, what) => {
    expect(problems(withSchedule(schedule))).toEqual([
      expect.stringMatching(new RegExp(`^2 warm\\[0\\].schedule: ".*" .*${what}.*; write minute`)),
    ])
  })
})

it('images, time zones, jitter and platforms are looked at, all at once', () => {
  const text = `${OK}warm:
  - schedule: '@daily'
    timeZone: Mars/Olympus
    jitter: 13h
    images: ['docker.io/*', 'https://quay.io/a', 'gcr.io/a/b:1', 'a b', quay.io/x:1, redis]
    platforms: [amd64, all, linux/arm/v7]
    concurrency: 17
    file: none.yml
  - schedule: '@daily'
  - images: [redis]
  - { schedule: '@daily', images: [redis], image: redis }
`
  expect(problems(text)).toEqual([
    '4 warm[0].timeZone: "Mars/Olympus" is not a time zone; write for example Europe/Berlin, or UTC',
    '5 warm[0].jitter: "13h" is too long; write at most 12h',
    expect.stringContaining('6 warm[0].images[0]: "docker.io/*" has a star'),
    expect.stringContaining('6 warm[0].images[1]: "https://quay.io/a" is not an image'),
    '6 warm[0].images[2]: "gcr.io/a/b:1" begins with what is not under "upstreams"; add it there',
    expect.stringContaining('6 warm[0].images[3]: "a b" is not an image'),
    '7 warm[0].platforms[0]: "amd64" is not a platform; write for example linux/amd64, or all',
    expect.stringContaining('8 warm[0].concurrency: found 17'),
    expect.stringContaining('9 warm[0].file: "none.yml" cannot be read: there is no such file'),
    '10 warm[1]: names no image; write images, or file with a list of them',
    '11 warm[2].schedule: is missing; write a cron expression such as "0 3 * * *"',
    '12 warm[3].image: is not a key; did you mean images?',
  ])
})
