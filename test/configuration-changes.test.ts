/** What a configuration that was read again changes, and what of it reaches the workers. */
import { expect, it } from 'vitest'
import { configurationOfWorkers, needsRestart } from '../src/configuration-changes.ts'
import type { Config } from '../src/config/schema.ts'
import { parse } from './config/fixtures.ts'

const PAIR = { certificate: 'a certificate', key: 'its key', files: [] }

const configOf = (more = '', data = '/srv/mirror'): Config =>
  parse(`
data: ${data}
workers: 2
upstreams:
  docker.io:
    endpoints: [https://registry-1.docker.io]
${more}`)

const started: Config = withPassword(configOf())

/** As the file may name it by way of the environment. */
function withPassword(config: Config): Config {
  const upstreams = [...config.upstreams].map(([name, upstream]) => {
    const credentials = [{ username: 'somebody', password: 'secret', endpoints: [] }]
    return [name, { ...upstream, credentials }] as const
  })
  return { ...config, upstreams: new Map(upstreams) }
}

it('no worker is told a password of an upstream, at the start or later', () => {
  const changed = withPassword(configOf('allow: [docker.io/library/**]'))
  for (const config of [started, changed]) {
    const { upstreams, allow } = configurationOfWorkers(started, config)
    expect(JSON.stringify([...upstreams])).not.toContain('secret')
    expect([...upstreams.keys()]).toEqual(['docker.io'])
    expect(allow).toEqual(config.allow)
  }
})

it('a worker has what only counts at the start from then, whenever it begins', () => {
  const changed: Config = {
    ...configOf('offline: true', '/srv/other'),
    api: 'off',
    memory: 0,
    sendfile: false,
    tls: [PAIR],
  }
  const { data, api, memory, sendfile, tls, offline } = configurationOfWorkers(started, changed)
  expect({ data, api, memory, sendfile, tls }).toEqual({
    data: started.data,
    api: started.api,
    memory: started.memory,
    sendfile: started.sendfile,
    tls: [],
  })
  expect(offline).toBe(true)
  expect(needsRestart(started, changed)).toEqual(['api', 'data', 'memory', 'sendfile', 'tls'])
})

it('renewed certificates reach the workers, and the end of TLS does not', () => {
  const secure: Config = { ...started, tls: [PAIR] }
  const renewed = { certificate: 'a newer one', key: 'its key', files: [] }
  expect(configurationOfWorkers(secure, { ...secure, tls: [renewed] }).tls).toEqual([renewed])
  expect(configurationOfWorkers(secure, started).tls).toEqual([PAIR])
  expect(needsRestart(secure, { ...secure, tls: [renewed] })).toEqual([])
})
