import { describe, expect, it } from 'vitest'
import type { Config } from '../../src/config/schema.ts'
import { parse, problems } from './fixtures.ts'

const OK = 'upstreams: { docker.io: {} }\n'
const MIB = 2 ** 20

function service(text: string): Partial<Config> {
  const { memory, workers, sendfile } = parse(OK + text)
  return { memory, workers, sendfile }
}

describe('what serves', () => {
  it('without a word is one process with some memory, and the kernel where it can', () => {
    expect(service('')).toEqual({ memory: 64 * MIB, workers: 1, sendfile: true })
  })

  it.each([
    ['memory: 1.5GiB', { memory: 1536 * MIB, workers: 1, sendfile: true }],
    ['workers: 2', { memory: 64 * MIB, workers: 2, sendfile: true }],
    ['sendfile: false', { memory: 64 * MIB, workers: 1, sendfile: false }],
    ['memory: 64MiB\nworkers: 1\nsendfile: true', service('')],
    ['memory: 0MiB\nworkers: 64', { memory: 0, workers: 64, sendfile: true }],
  ])('is what the file says, each key by itself: %j', (text, expected) => {
    expect(service(`${text}\n`)).toEqual(expected)
  })

  it('has a memory that the environment may give', () => {
    expect(parse(`${OK}memory: \${ROOM}\n`, { env: { ROOM: '1GiB' } }).memory).toBe(1024 * MIB)
  })
})

describe('is refused where it is wrong:', () => {
  const size = 'write a size such as 200GiB (units KiB, MiB, GiB, TiB)'
  const noSize = 'is not a size; write for example 200GiB (units KiB, MiB, GiB, TiB)'
  const processes = 'write a number of processes from 1 to 64'
  it.each([
    ['memory: 0', `memory: found 0; ${size}`],
    ['memory: 67108864', `memory: found 67108864; ${size}`],
    ['memory: false', `memory: found false; ${size}`],
    ['memory:', `memory: found nothing; ${size}`],
    ['memory: off', `memory: "off" ${noSize}`],
    ['memory: 64MB', `memory: "64MB" ${noSize}`],
    ['memory: -1MiB', `memory: "-1MiB" ${noSize}`],
    ['memory: 50%', `memory: "50%" ${noSize}`],
    ['memory: 9000000TiB', `memory: "9000000TiB" ${noSize}`],
    ['workers: 0', `workers: found 0; ${processes}`],
    ['workers: 65', `workers: found 65; ${processes}`],
    ['workers: -1', `workers: found -1; ${processes}`],
    ['workers: 1.5', `workers: found 1.5; ${processes}`],
    ['workers: 0.5', `workers: found 0.5; ${processes}`],
    ['workers: 1e20', `workers: found 100000000000000000000; ${processes}`],
    ['workers: "2"', `workers: found "2"; ${processes}`],
    ['workers: auto', `workers: found "auto"; ${processes}`],
    ['workers: ${CORES}', `workers: found "\${CORES}"; ${processes}`],
    ['workers: true', `workers: found true; ${processes}`],
    ['workers: [2]', `workers: found a list; ${processes}`],
    ['workers:', `workers: found nothing; ${processes}`],
    ['sendfile: on', 'sendfile: found "on"; write true or false'],
    ['sendfile: 1', 'sendfile: found 1; write true or false'],
    ['sendfile:', 'sendfile: found nothing; write true or false'],
    ['sendFile: true', 'sendFile: is not a key; did you mean sendfile?'],
    ['worker: 2', 'worker: is not a key; did you mean workers?'],
  ])('%s', (line, problem) => {
    expect(problems(`${OK}${line}\n`, { env: { CORES: '2' } })).toEqual([`2 ${problem}`])
  })

  it.each([
    ['memory', '64MiB'],
    ['workers', '2'],
    ['sendfile', 'false'],
  ])('%s is of the whole mirror, not of an upstream', (key, value) => {
    expect(problems(`upstreams: { quay.io: { ${key}: ${value} } }`)).toEqual([
      `1 upstreams.quay.io.${key}: is not a key here; it belongs under the top level`,
    ])
  })
})
