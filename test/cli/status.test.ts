import { createServer } from 'node:http'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { MirrorStatus } from '../../src/cache/status.ts'
import { status } from '../../src/cli/status.ts'
import type { Traffic } from '../../src/traffic.ts'
import { createCertificateAuthority } from '../fakes/certificates.ts'
import { BUSY, FRESH, NO_TRAFFIC, TRAFFIC } from '../http/statuses.ts'
import { answering, listen, type AnsweringServer } from './answering-server.ts'
import { configFile } from './config-file.ts'
import { runCommand } from './run-command.ts'

const HOUR = 3600 * 1000
const [LAYER, OTHER] = BUSY.fills.downloads.map(({ digest }) => digest?.slice(0, 19))
const TOKEN = 'entp_t1_secretsecret'

describe('entrepot status', () => {
  it('prints how the mirror is doing', async () => {
    const scrub = { ...BUSY.scrub, finishedAt: Date.now() - 5 * HOUR }
    const startedAt = Date.now() - 5 * HOUR
    const served = await serving({ ...BUSY, scrub, startedAt, traffic: TRAFFIC })
    const { code, out, error } = await runCommand(status, ['--server', served.url])
    expect([code, error]).toEqual([0, ''])
    expect(out.split('\n').map((line) => line.replaceAll(/ {2,}/g, ' | '))).toEqual([
      `mirror | ${served.url}`,
      'store | 1.5 GiB of 10.0 GiB, 80.0 GiB free on the disk',
      'served | 200 manifests and blobs, 87 % of them from here',
      'saved | 2.0 GiB: 3.0 GiB sent, 1.0 GiB fetched, in 5 hours',
      'fills | 2 downloads running, 14 blobs waiting to be fetched in the background',
      'scrub | 1.0 GiB checked, 1 damaged file, last through 5 hours ago',
      '',
      'UPSTREAM | STATE | PULLS LEFT | ENDPOINTS',
      'docker.io | 1 of 2 resting | scarce, credentials[0] 17 of 200 | https://registry-1.docker.io (rests 30 seconds) https://mirror.gcr.io',
      '',
      'DOWNLOAD | DONE | RATE | LEFT | CLIENTS',
      `docker.io/library/redis ${LAYER} | 25 % of 1.0 GiB | 64.0 MiB/s | 12 seconds | 3`,
      `docker.io/library/busybox ${OTHER} | 2.0 KiB | 0 bytes/s | none`,
    ])
  })

  it('prints what is not known yet as that', async () => {
    const served = await serving(FRESH)
    const { out } = await runCommand(status, ['--server', served.url])
    expect(out).toContain('offline: no upstream is asked')
    expect(out).toContain('0 bytes checked, 0 damaged files, not through yet')
    expect(out).toMatch(/^store {3}0 bytes$/m)
    expect(out).toMatch(/^served {2}nothing yet$/m)
    expect(out).not.toContain('DOWNLOAD')
    expect(out).toMatch(/^quay\.io {3}offline {2}ample/m)
  })

  it('prints in colours how bad it is, and names nothing that is hidden', async () => {
    const [upstream] = BUSY.upstreams
    const [download] = BUSY.fills.downloads
    if (upstream === undefined || download === undefined) throw new Error('There are some.')
    const { repository: _repository, digest: _digest, ...hidden } = download
    const endpoints = [{ origin: 'https://quay.io', restsFor: 30_000 }]
    const upstreams = [{ ...upstream, pullBudget: 'spent' as const, accounts: [], endpoints }]
    const fills = { ...BUSY.fills, downloads: [hidden] }
    const served = await serving({ ...BUSY, upstreams: [...upstreams, ...FRESH.upstreams], fills })
    const { out } = await runCommand(status, ['--server', served.url], { FORCE_COLOR: '1' })
    expect(out).toContain('\u001b[31m1 of 1 resting\u001b[39m  \u001b[31mspent\u001b[39m')
    expect(out).toContain('\u001b[31moffline\u001b[39m')
    expect(out).toMatch(/^docker\.io\/\(not yours to see\) {2}25 % of 1\.0 GiB/m)
  })

  it('prints JSON for programs', async () => {
    const served = await serving(BUSY)
    const { out } = await runCommand(status, ['--json', '--server', served.url])
    expect(JSON.parse(out)).toEqual({ ...BUSY, traffic: NO_TRAFFIC })
  })

  it('asks the address of the configuration unless told another', async () => {
    const served = await serving(BUSY)
    const { port } = new URL(served.url)
    for (const listen of [`127.0.0.1:${port}`, `0.0.0.0:${port}`, `localhost:${port}`]) {
      const { file } = configFile(`listen: ${listen}`)
      const { code, error } = await runCommand(status, ['--config', file])
      expect([code, error]).toEqual([0, ''])
    }
    const { file } = configFile('listen: 127.0.0.1:1')
    const there = ['--listen', `127.0.0.1:${port}`]
    expect((await runCommand(status, ['--config', file, ...there])).code).toBe(0)
  })

  it('asks where the configuration has the API', async () => {
    const served = await serving(BUSY)
    const { file } = configFile(`listen: 127.0.0.1:1\napi: 127.0.0.1:${served.port}`)
    expect(await runCommand(status, ['--config', file])).toMatchObject({ code: 0, error: '' })
    expect(served.sent.map(({ path }) => path)).toEqual(['/status'])
  })

  it('says who asks where there is a token', async () => {
    const served = await serving(BUSY)
    const { folder } = configFile()
    const file = join(folder, 'token')
    writeFileSync(file, `${TOKEN}\n`)
    await runCommand(status, ['--server', served.url])
    await runCommand(status, ['--server', served.url, '--token-file', file])
    await runCommand(status, ['--server', served.url], { ENTREPOT_TOKEN: TOKEN })
    expect(served.sent.map(({ headers }) => headers.authorization)).toEqual([
      undefined,
      `Bearer ${TOKEN}`,
      `Bearer ${TOKEN}`,
    ])
    const args = ['--server', 'http://mirror.example', '--token-file', file]
    const { code, error } = await runCommand(status, args)
    expect([code, error]).toEqual([2, expect.stringMatching(/^The token is not sent to/)])
  })

  it.each([
    [401, {}, /who asks; say --token-file, or set ENTREPOT_TOKEN\.$/],
    [401, { ENTREPOT_TOKEN: TOKEN }, /does not accept the token/],
    [403, { ENTREPOT_TOKEN: TOKEN }, /403, .* lacks the right to it: "operate" is needed\.$/],
  ])('says what is missing at %d with %j', async (answer, env, sentence) => {
    const { url } = await answering({ status: answer, body: '{}' })
    const { code, error } = await runCommand(status, ['--server', url], env)
    expect([code, error]).toEqual([1, expect.stringMatching(sentence)])
    expect(error).not.toContain('secret')
  })

  it('asks a Unix socket', async () => {
    const { file, folder } = configFile(`listen: unix:socket`)
    await answering({ body: textOf(FRESH) }, { socket: join(folder, 'socket') })
    const own = await runCommand(status, ['--config', file])
    expect([own.code, own.error]).toEqual([0, ''])
    const other = await runCommand(status, ['--server', `unix:${join(folder, 'socket')}`])
    expect(other.out).toContain(`unix:${join(folder, 'socket')}`)
  })

  it('knows the own mirror by its certificate, whatever name that bears', async () => {
    await using authority = await createCertificateAuthority()
    const [own, other] = await Promise.all([
      authority.issue(['DNS:mirror.example']),
      authority.issue(['DNS:mirror.example']),
    ])
    const tls = { cert: own.certificate, key: own.key }
    const { port, sent } = await answering({ body: textOf(FRESH) }, { tls })
    const ask = ({ certificateFile, keyFile }: typeof own) => {
      const listed = `tls: [{ certificate: ${certificateFile}, key: ${keyFile} }]`
      const { file } = configFile(`listen: 127.0.0.1:${port}\n${listed}`)
      return runCommand(status, ['--config', file], { ENTREPOT_TOKEN: TOKEN })
    }
    expect(await ask(own)).toMatchObject({ code: 0, error: '' })
    expect(sent.map(({ headers }) => headers.authorization)).toEqual([`Bearer ${TOKEN}`])
    const refused = await ask(other)
    // A token least of all: it is not said to a stranger.
    expect(sent).toHaveLength(1)
    expect(refused.code).toBe(1)
    expect(refused.error).toContain('certificate is not the one in the configuration')
    // One that is named must be trusted in the usual way.
    const named = await runCommand(status, ['--server', `https://127.0.0.1:${port}`])
    expect(named.code).toBe(1)
    expect(named.error).toContain('certificate')
  })

  it.each([
    ['a web page', '<html>', 200, /no mirror/],
    ['other JSON', '{"upstreams":[]}', 200, /no mirror/],
    ['null', 'null', 200, /no mirror/],
    ['a mirror of an earlier version', JSON.stringify(FRESH), 200, /another version/],
    [
      'an upstream without members',
      JSON.stringify({ ...FRESH, upstreams: [null] }),
      200,
      /no mirr/,
    ],
    [
      'an endpoint without members',
      JSON.stringify({
        ...FRESH,
        traffic: NO_TRAFFIC,
        upstreams: [{ name: 'quay.io', endpoints: [null], accounts: [] }],
      }),
      200,
      /no mirr/,
    ],
    ['a refusal', '{}', 403, /answered 403/],
    ['an answer without end', 'x'.repeat(5 * 1024 * 1024), 200, /no end/],
  ])('fails with a sentence for %s', async (_what, text, code, sentence) => {
    const { url } = await answering({ status: code, body: text })
    const ran = await runCommand(status, ['--server', url])
    expect([ran.code, ran.out]).toEqual([1, ''])
    expect(ran.error).toMatch(sentence)
    expect(ran.error).not.toMatch(/\n\s+at /)
  })

  it('shows no control characters of what answers', async () => {
    const [upstream] = FRESH.upstreams
    const [download] = BUSY.fills.downloads
    if (upstream === undefined || download === undefined) throw new Error('There is an upstream.')
    const served = await serving({
      ...FRESH,
      upstreams: [{ ...upstream, name: 'a\u001b[2Jb' }],
      fills: { ...BUSY.fills, downloads: [{ ...download, upstream: 'c\u001b[2Jd' }] },
    })
    const { out } = await runCommand(status, ['--server', served.url])
    expect(out).toContain('a?[2Jb')
    expect(out).toContain('c?[2Jd')
  })

  it('shows none either in place of numbers, and nothing that turns a line around', async () => {
    const [upstream] = FRESH.upstreams
    const evil = '\u001b[2J\u0007' as unknown as number
    const served = await serving({
      ...FRESH,
      store: { bytes: 1, budget: evil, freeBytes: evil },
      fills: { ...BUSY.fills, waitingPrefetches: evil },
      scrub: { ...FRESH.scrub, damaged: evil },
      upstreams: upstream === undefined ? [] : [{ ...upstream, name: 'quay.io\u202eoi' }],
      traffic: { ...TRAFFIC, answers: evil, upstreamBytes: evil },
    })
    const { out } = await runCommand(status, ['--server', served.url])
    expect(out).toContain('quay.io?oi')
    expect(out.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u)
  })

  it('fails with a sentence where nothing listens, or nothing can be asked', async () => {
    const { file, folder } = configFile('listen: 127.0.0.1:0')
    const { file: silent } = configFile('api: off')
    const { file: activated } = configFile('listen: systemd')
    for (const [args, expected, sentence] of [
      [['--server', 'http://127.0.0.1:1'], 2, /http:\/\/127\.0\.0\.1:1 .*nothing listens there/],
      [['--server', `unix:${folder}/none`], 2, /nothing listens there/],
      [['--server', 'mirror'], 2, /--server takes a URL/],
      [['--server', 'ftp://mirror'], 2, /--server takes a URL/],
      [['--config', file], 1, /say --server/],
      [['--config', activated], 1, /socket unit .* say --server/],
      [['--config', silent], 1, /"api: off"/],
    ] as const) {
      const { code, error } = await runCommand(status, args)
      expect([code, error]).toEqual([expected, expect.stringMatching(sentence)])
    }
    expect((await runCommand(status, ['now'])).code).toBe(2)
  })

  it('ends when it is told to', async () => {
    const server = createServer(() => undefined)
    const port = await listen(server)
    const stop = new AbortController()
    const url = `http://127.0.0.1:${port}`
    const running = runCommand(status, ['--server', url], {}, stop.signal)
    server.once('request', () => stop.abort())
    expect(await running).toMatchObject({ code: 1, error: expect.stringContaining('aborted') })
  })
})

function serving(answer: MirrorStatus & { traffic?: Traffic }): Promise<AnsweringServer> {
  return answering({ body: textOf(answer) })
}

function textOf(answer: MirrorStatus & { traffic?: Traffic }): string {
  return JSON.stringify({ traffic: NO_TRAFFIC, ...answer })
}
