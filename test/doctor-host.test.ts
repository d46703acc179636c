/** What the doctor finds on the host of a mirror: each trouble is planted. */
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openControlCatalog } from '../src/catalog/sqlite-control.ts'
import { parseConfig } from '../src/config/load.ts'
import type { Config } from '../src/config/schema.ts'
import { openDataFolder } from '../src/data-folder.ts'
import type { DoctorDependencies } from '../src/doctor.ts'
import { createLog } from '../src/log.ts'
import { createMetrics } from '../src/metrics.ts'
import { openOperator } from '../src/operator.ts'
import { configFile } from './cli/config-file.ts'
import { examined, type Examined } from './doctor-findings.ts'
import { createCertificateAuthority } from './fakes/certificates.ts'

const GIB = 2 ** 30
const DAY = 24 * 3600 * 1000
const log = createLog({ write: () => undefined })

/** A disk with room for everything, of a kind that is fit for it. */
const DISK = { type: 0xef53, bytes: 100 * GIB, freeBytes: 50 * GIB, files: 1000, freeFiles: 900 }
const HEALTHY: DoctorDependencies = {
  // The fastest disk that there is.
  clock: () => 0,
  diskOf: async () => DISK,
  trialBytes: 2 ** 20,
  facts: { openFiles: async () => 65_536, memory: () => 8 * GIB },
}

interface Place {
  readonly folder: string
  readonly data: string
  readonly config: Config
}

/** A configuration whose upstreams are not asked, and its data folder. */
function placeWith(more = '', { madeData = true } = {}): Place {
  const { folder, file } = configFile()
  const data = join(folder, 'data')
  if (madeData) mkdirSync(data)
  const text = /^upstreams:/m.test(more) ? more : `upstreams: { docker.io: {} }\n${more}`
  const allow = /^allow:/m.test(more) ? '' : "allow: ['**']\n"
  return {
    folder,
    data,
    config: parseConfig(`data: ${data}\n${allow}${text}\n`, { file, env: {} }),
  }
}

function examinedHost(
  { config }: Pick<Place, 'config'>,
  dependencies: DoctorDependencies = {},
): Promise<Examined> {
  return examined({ host: { config, offline: true } }, { ...HEALTHY, ...dependencies })
}

describe('a host', () => {
  it('that is well has nothing to say, and keeps nothing of it', async () => {
    const place = placeWith()
    const found = await examinedHost(place)
    const trouble = found.findings.filter(({ state }) => state === 'failed' || state === 'warning')
    expect(trouble).toEqual([])
    expect(found.finding('disk speed').found).toMatch(/^the disk writes .*\/s and reads .*\/s$/)
    expect(found.of('upstream docker.io')).toEqual([
      'skipped: the mirror is offline, so no upstream is asked',
    ])
    expect(readdirSync(place.data)).toEqual([])
  })

  it('is not left with the file that the disk is tried with, whatever ends the trial', async () => {
    const place = placeWith()
    const seen: string[] = []
    const clock = (): number => {
      seen.push(...readdirSync(place.data))
      return 0
    }
    expect((await examinedHost(place, { clock })).finding('disk speed').state).toBe('ok')
    expect(seen).toEqual([])
  })

  it('has limits of its own', async () => {
    const { config } = placeWith()
    const found = await examined({ host: { config, offline: true } }, { trialBytes: 2 ** 20 })
    expect(found.finding('open files').found).toMatch(/^a process may have/)
    expect(found.finding('memory').found).toMatch(/^the mirror takes about 302\.0 MiB, and/)
    expect(found.finding('inodes').found).not.toBe('')
  })
})

describe('the data folder', () => {
  it('that is not there yet is made later, and nothing is made now', async () => {
    const place = placeWith('', { madeData: false })
    const found = await examinedHost(place)
    expect(found.finding('data folder')).toMatchObject({
      state: 'skipped',
      found: expect.stringContaining('makes it at its first start'),
    })
    expect(found.finding('disk space').state).toBe('skipped')
    expect(existsSync(place.data)).toBe(false)
  })

  it('that cannot be made is a failure', async () => {
    const found = await examinedHost({ config: { ...placeWith().config, data: '/proc/no/data' } })
    expect(found.finding('data folder')).toMatchObject({
      state: 'failed',
      found: expect.stringContaining('there is no folder /proc/no/data, and this user'),
    })
  })

  it('that is a file is a failure', async () => {
    const place = placeWith('', { madeData: false })
    writeFileSync(place.data, '')
    expect((await examinedHost(place)).of('data folder')).toEqual([
      `failed: ${place.data} is no folder`,
    ])
  })

  it('that cannot be written says why, and whose it would have to be', async () => {
    // Nobody may make files there, whoever they are.
    const found = await examinedHost({ config: { ...placeWith().config, data: '/proc/self' } })
    expect(found.finding('data folder')).toMatchObject({
      state: 'failed',
      found: expect.stringMatching(/cannot write into \/proc\/self: /),
      advice: expect.stringContaining('chown -R'),
    })
  })

  it.skipIf(process.getuid?.() === 0)('without the right to write is refused', async () => {
    const place = placeWith()
    chmodSync(place.data, 0o500)
    expect((await examinedHost(place)).finding('data folder').found).toContain('it may not')
    chmodSync(place.data, 0o700)
  })

  it('of another user is spoken of', async () => {
    const place = placeWith()
    const { getuid } = process
    try {
      process.getuid = () => 4711
      const found = await examinedHost(place)
      expect(found.finding('data folder')).toMatchObject({
        state: 'warning',
        found: expect.stringContaining('and this is user 4711'),
      })
    } finally {
      if (getuid !== undefined) process.getuid = getuid
    }
  })

  it('is used by a mirror, or is not', async () => {
    const place = placeWith()
    expect((await examinedHost(place)).of('running')).toEqual([
      `skipped: no mirror runs on ${place.data}: entrepot serve starts it, or its service`,
    ])
    const data = await openDataFolder(place.data, { metrics: createMetrics(), log })
    try {
      expect((await examinedHost(place)).of('running')).toEqual([
        `ok: a mirror runs on ${place.data}`,
      ])
    } finally {
      await data.close()
    }
    // Looking has not kept it.
    expect((await examinedHost(place)).finding('running').state).toBe('skipped')
  })

  it('whose lock is damaged is a failure', async () => {
    const place = placeWith()
    writeFileSync(join(place.data, 'lock.sqlite'), 'x'.repeat(4096))
    const found = await examinedHost(place)
    expect(found.finding('running').state).toBe('failed')
  })

  it.each([
    [0x0102_1994, /in memory \(tmpfs\)/],
    [0x794c_7630, /layers of a container/],
    [0x6969, /on NFS/],
    [0xff53_4d42, /on CIFS/],
  ])('on a file system %i is spoken of', async (type, sentence) => {
    const found = await examinedHost(placeWith(), { diskOf: async () => ({ ...DISK, type }) })
    expect(found.finding('file system')).toMatchObject({
      state: 'warning',
      found: expect.stringMatching(sentence),
    })
  })

  it.each([
    [0, 0, 'skipped', /does not count/],
    [1000, 0, 'failed', /^0 of 1000 inodes are free$/],
    [1000, 49, 'warning', /^49 of 1000/],
    [1000, 50, 'ok', /^50 of 1000/],
  ])('may be out of inodes: of %d %d', async (files, freeFiles, state, sentence) => {
    const diskOf = async () => ({ ...DISK, files, freeFiles })
    const found = await examinedHost(placeWith(), { diskOf })
    expect(found.finding('inodes')).toMatchObject({
      state,
      found: expect.stringMatching(sentence),
    })
  })
})

describe('the disk', () => {
  it('that is full is a failure, and is not tried', async () => {
    const diskOf = async () => ({ ...DISK, freeBytes: 2 ** 20 - 1024 })
    const found = await examinedHost(placeWith(), { diskOf })
    expect(found.of('disk space')).toEqual([
      'failed: 1023.0 KiB of 100.0 GiB are free, and "minFree" wants 64.0 MiB: nothing new is stored',
    ])
    expect(found.of('disk speed')).toEqual(['skipped: there is no room for 1.0 MiB to try it with'])
  })

  it('is compared with the budget, and what is stored counts as room', async () => {
    const place = placeWith('budget: 80GiB\nminFree: 1GiB')
    const before = await examinedHost(place)
    expect(before.finding('disk space')).toMatchObject({ state: 'ok' })
    await (await openDataFolder(place.data, { metrics: createMetrics(), log })).close()
    expect((await examinedHost(place)).of('disk space')).toEqual([
      'warning: "budget" is 80.0 GiB, and the disk has room for 49.0 GiB',
    ])
    const large = { diskOf: async () => ({ ...DISK, freeBytes: 90 * GIB }) }
    expect((await examinedHost(place, large)).finding('disk space').state).toBe('ok')
  })

  it('that is slow says how slow', async () => {
    let at = 0
    const found = await examinedHost(placeWith(), { clock: () => (at += 500) })
    expect(found.finding('disk speed')).toMatchObject({
      state: 'warning',
      found: expect.stringMatching(/^the disk writes \d+\.\d MiB\/s and reads/),
      advice: expect.stringContaining('SSD'),
    })
  })
})

describe('the rules', () => {
  it('that allow nothing refuse everything', async () => {
    const found = await examinedHost(placeWith('allow: []'))
    expect(found.of('rules')).toEqual([
      'warning: no rule allows anything, so every pull is refused',
    ])
  })

  it('are compared with the upstreams', async () => {
    const found = await examinedHost(
      placeWith(
        "upstreams: { docker.io: {}, quay.io: {}, gcr.io: {}, ghcr.io: {} }\nallow: ['docker.io/**', 'g*.io/**']\ndeny: ['ghcr.io/**', 'gcr.io/**:old']",
      ),
    )
    expect(found.of('rules')).toEqual([
      'warning: no rule allows anything of quay.io',
      'warning: a rule denies all of ghcr.io',
    ])
  })

  it('of operators count, too, as long as they hold', async () => {
    const place = placeWith('allow: []')
    const opened = await openOperator(place.config, { log })
    await opened.operator.addRule({
      effect: 'allow',
      pattern: 'docker.io/library/*',
      reason: undefined,
      owner: undefined,
      expiresAt: Date.now() + DAY,
      minAge: 0,
    })
    await opened.close()
    expect((await examinedHost(place)).of('rules')).toEqual(['ok: 1 rule allow, 0 rules deny'])
    const later = await examinedHost(place, { now: () => Date.now() + 2 * DAY })
    expect(later.finding('rules').found).toContain('no rule allows anything')
    const other = { ...place.config, upstreams: new Map() }
    expect((await examinedHost({ config: other })).of('rules')).toEqual([
      'warning: a rule allows docker.io/library/*, and there is no such upstream',
    ])
  })

  it('that cannot be read are a failure of their own', async () => {
    const place = placeWith()
    openControlCatalog(join(place.data, 'control.sqlite'))
      .close()
      .catch(() => undefined)
    writeFileSync(join(place.data, 'control.sqlite'), 'x')
    const found = await examinedHost(place)
    expect(found.finding('rules')).toMatchObject({ state: 'failed', advice: expect.any(String) })
    expect(found.finding('memory').state).toBe('ok')
  })
})

describe('what the configuration asks of the host', () => {
  it('may be more memory than there is', async () => {
    const facts = { openFiles: async () => 65_536, memory: () => 512 * 2 ** 20 }
    const found = await examinedHost(placeWith('memory: 1GiB\nworkers: 4'), { facts })
    expect(found.of('memory')).toEqual([
      'warning: the mirror takes about 4.6 GiB, and 512.0 MiB are there',
    ])
  })

  it.each([
    [1024, 'warning', '1024 files'],
    [Infinity, 'ok', 'any number of files'],
    [undefined, 'skipped', 'does not tell'],
  ])('may be more open files than %d', async (limit, state, words) => {
    const facts = { openFiles: async () => limit, memory: () => 8 * GIB }
    const found = await examinedHost(placeWith(), { facts })
    expect(found.finding('open files')).toMatchObject({
      state,
      found: expect.stringContaining(words),
    })
  })

  it('are certificates that hold, for the name of the mirror', async () => {
    await using authority = await createCertificateAuthority()
    const { certificateFile, keyFile } = await authority.issue(['DNS:mirror.example'], 90)
    const tls = `tls: [{ certificate: ${certificateFile}, key: ${keyFile} }]`
    const well = placeWith(`${tls}\npublicUrl: https://mirror.example:5000`)
    expect((await examinedHost(well)).finding('certificates').state).toBe('ok')
    const soon = await examinedHost(well, { now: () => Date.now() + 80 * DAY })
    expect(soon.finding('certificates')).toMatchObject({
      state: 'warning',
      found: expect.stringContaining('fake server ends on'),
    })
    const ended = await examinedHost(well, { now: () => Date.now() + 400 * DAY })
    expect(ended.finding('certificates').state).toBe('failed')
    const named = placeWith(`${tls}\npublicUrl: https://other.example`)
    expect((await examinedHost(named)).finding('certificates')).toMatchObject({
      state: 'warning',
      found: 'no certificate of "tls" is for other.example, which "publicUrl" names',
    })
  })

  it('are none where something else speaks TLS', async () => {
    const found = await examinedHost(placeWith('publicUrl: https://mirror.example'))
    expect(found.finding('certificates').found).toContain('in front of the mirror has to have')
  })
})
