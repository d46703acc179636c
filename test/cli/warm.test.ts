/** entrepot warm: what it asks for, of whom, and what it says. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createWarm } from '../../src/cli/warm.ts'
import type { Io } from '../../src/cli/command.ts'
import { lockFolder } from '../../src/catalog/lock.ts'
import { openOperator } from '../../src/operator.ts'
import type { OpenWarming, WarmEvent, WarmJob } from '../../src/warming.ts'
import { answering, type Answer, type Sent } from './answering-server.ts'
import { configFile } from './config-file.ts'
import { runCommand } from './run-command.ts'

const IMAGE = 'docker.io/library/redis:7'
const LIST = `docker.io:
  images: { library/redis: ['7'], library/alpine: [] }
  images-by-tag-regex: { library/nginx: '^1\\.' }
`
const SUMMARY = {
  event: 'summary',
  images: 2,
  failed: 0,
  blobs: 3,
  bytes: 2048,
  alreadyThere: 1,
  milliseconds: 4000,
} as const

const EVENTS: readonly WarmEvent[] = [
  { event: 'tags-selected', source: 'docker.io/library/alpine (all tags)', tags: 3, refused: 1 },
  { event: 'images-selected', images: 2 },
  { event: 'image-started', image: IMAGE },
  { event: 'image-planned', image: IMAGE, digest: 'sha256:1', blobs: 3, bytes: 2048 },
  { event: 'blob-progress', image: IMAGE, blob: 'sha256:b', bytes: 10, size: undefined },
  { event: 'blob-finished', image: IMAGE, blob: 'sha256:b', bytes: 2048, alreadyThere: false },
  {
    event: 'image-finished',
    image: IMAGE,
    digest: 'sha256:1',
    blobs: 3,
    bytes: 2048,
    alreadyThere: 1,
    note: 'older',
  },
]
const FAILED: WarmEvent = {
  event: 'image-failed',
  image: 'docker.io/library/none:1',
  reason: 'upstream',
  message: 'Upstream\u001bdoes not have this.',
}

interface Opened {
  readonly jobs: WarmJob[]
  readonly access: unknown[]
  closed: number
}

/** In this process, without a registry. */
function here(events: readonly WarmEvent[] = EVENTS, summary = SUMMARY) {
  const opened: Opened = { jobs: [], access: [], closed: 0 }
  const openWarming: OpenWarming = async (_config, { access, warn }) => {
    opened.access.push(...access)
    if (access.length > 0) warn('a warning')
    return {
      async run(job, { onEvent }) {
        opened.jobs.push(job)
        for (const event of events) onEvent(event)
        return summary
      },
      close: async () => void (opened.closed += 1),
    }
  }
  return { opened, command: createWarm({ openWarming, openOperator }) }
}

describe('on the host, where no mirror runs', () => {
  it('opens the data folder itself, and says what came', async () => {
    const { file, folder } = configFile()
    writeFileSync(join(folder, 'images.yml'), LIST)
    const { opened, command } = here()
    const list = join(folder, 'images.yml')
    const args = ['--config', file, IMAGE, '--file', list, '--platform', 'linux/arm64/v8']
    const { code, out, error } = await runCommand(command, args)
    expect([code, error]).toEqual([0, ''])
    expect(out.split('\n')).toEqual([
      'docker.io/library/alpine (all tags): 3 tags, 1 of them let in by no rule',
      'docker.io/library/redis:7: 3 blobs fetched (2.0 KiB), 1 already there; older',
      '2 images, none failed: 3 blobs fetched (2.0 KiB in 4 seconds), 1 already there.',
    ])
    expect(opened).toEqual({
      access: [],
      closed: 1,
      jobs: [
        {
          sources: [
            { image: IMAGE },
            { image: IMAGE },
            { repository: 'docker.io/library/alpine' },
            { repository: 'docker.io/library/nginx', matching: '^1\\.' },
          ],
          platforms: [{ os: 'linux', architecture: 'arm64', variant: 'v8' }],
          concurrency: 4,
          dryRun: false,
        },
      ],
    })
  })

  it('ends with 1 when an image failed, and says why without what it may control', async () => {
    const { file } = configFile()
    const { command } = here([FAILED], { ...SUMMARY, images: 1, failed: 1, blobs: 0 } as never)
    const { code, out, error } = await runCommand(command, ['--config', file, 'none:1'])
    expect([code, error]).toEqual([
      1,
      'docker.io/library/none:1: failed: Upstream?does not have this.',
    ])
    expect(out).toBe('1 image, 1 failed: 0 blobs fetched (2.0 KiB), 1 already there.')
  })

  it('prints events for programs, a line each', async () => {
    const { file } = configFile()
    const { command } = here([...EVENTS, FAILED])
    const { out } = await runCommand(command, ['--config', file, IMAGE, '--json'])
    expect(out.split('\n').map((line) => JSON.parse(line))).toEqual(
      JSON.parse(JSON.stringify([...EVENTS, FAILED, SUMMARY])),
    )
    expect(out).not.toContain('\u001b')
  })

  it('draws bars on a terminal, and says the summary below them', async () => {
    const { file } = configFile()
    const writes: string[] = []
    const terminal = {
      columns: () => 80,
      rows: () => 24,
      write: (it: string) => void writes.push(it),
    }
    const { command } = here([...EVENTS, FAILED])
    const onTerminal: typeof command = (args, io, signal) =>
      command(args, { ...io, terminal } satisfies Io, signal)
    const env = { NO_COLOR: '1' }
    const { out } = await runCommand(onTerminal, ['--config', file, IMAGE], env)
    expect(out).toMatch(/^2 images, none failed/)
    expect(writes.join('')).toContain('docker.io/library/redis:7: 3 blobs fetched')
    expect(writes.join('')).toContain('failed: Upstream?does not have this.')
    const coloured = await runCommand(onTerminal, ['--config', file, IMAGE])
    expect([coloured.code, writes.at(-1)]).toEqual([
      0,
      expect.stringContaining('\u001b[31mdocker.io/library/none:1: failed'),
    ])
  })

  it('says from time to time how a large blob is doing, where there are no bars', async () => {
    const { createWarmReport } = await import('../../src/cli/warm-report.ts')
    const lines: string[] = []
    let now = 0
    const io = { out: (text: string) => lines.push(text), env: {} } as unknown as Io
    const report = createWarmReport(io, { json: false, dryRun: false, now: () => now })
    for (const bytes of [1024, 2048, 4096]) {
      const blob = { event: 'blob-progress', image: IMAGE, blob: 'sha256:b', bytes } as const
      report.note({ ...blob, size: bytes < 4096 ? undefined : 8192 })
      now += 31_000
      report.note({ ...blob, bytes: bytes + 1, size: bytes < 4096 ? undefined : 8192 })
    }
    report.close()
    expect(lines).toEqual([
      `${IMAGE}: a blob, 1.0 KiB so far`,
      `${IMAGE}: a blob, 2.0 KiB so far`,
      `${IMAGE}: a blob, 4.0 KiB of 8.0 KiB so far`,
    ])
  })

  it('only looks where it is told to', async () => {
    const { file } = configFile()
    const would = { event: 'image-would-be-fetched', image: IMAGE, digest: 'sha256:1' } as const
    const { opened, command } = here([
      { ...would, blobs: 2, bytes: 1024 },
      { ...would, blobs: 0, bytes: 0 },
      { ...would, digest: undefined, blobs: undefined, bytes: undefined },
    ])
    const args = ['--config', file, IMAGE, '--dry-run', '--all-platforms', '--concurrency', '16']
    const { out } = await runCommand(command, args)
    expect(out.split('\n')).toEqual([
      `${IMAGE}: 2 blobs would be fetched (1.0 KiB)`,
      `${IMAGE}: all of it is here`,
      `${IMAGE}: would be fetched; how much it is, its manifest will tell`,
      '2 images, none failed. Nothing was fetched.',
    ])
    expect(opened.jobs).toMatchObject([{ dryRun: true, platforms: 'all', concurrency: 16 }])
  })

  it('reads the list from standard input, and what it says of accounts', async () => {
    const { file } = configFile()
    const { opened, command } = here()
    const text = `${LIST}  credentials: { username: a, password: b }\n`
    const input = { isTerminal: false, read: async () => text, askSecrets: async () => [] }
    const args = ['--config', file, '--file', '-']
    const ran = await runCommand(command, args, {}, undefined, undefined, input)
    expect([ran.code, ran.error]).toEqual([0, 'a warning'])
    expect(opened.access).toMatchObject([{ registry: 'docker.io', credentials: { username: 'a' } }])
  })

  it.each([
    [[], 'Say which images: entrepot warm IMAGE…, or --file with a list of them'],
    [[''], 'Say which images'],
    [['a', '--platform', 'amd64'], '"amd64" is not a platform; write for example linux/amd64'],
    [['a', '--platform', 'linux/amd64', '--all-platforms'], 'Say --platform or --all-platforms'],
    [['a', '--concurrency', '0'], '--concurrency takes a number from 1 to 16'],
    [['a', '--concurrency', 'x'], '--concurrency takes a number from 1 to 16'],
    [['a', '--file', '/none/images.yml'], '--file /none/images.yml cannot be read: ENOENT'],
    [
      ['a', '--token-file', 'x'],
      '--token-file goes with --server, or with a mirror that runs here',
    ],
    [['a', '--plattform', 'x'], "Unknown option '--plattform'"],
    [['a', '--server', 'https://mirror.example'], 'A mirror wants to know who asks'],
  ])('%j is called wrongly: 2, and nothing is opened', async (args, message) => {
    const { file } = configFile()
    const { opened, command } = here()
    const { code, error } = await runCommand(command, ['--config', file, ...args])
    expect([code, opened.jobs]).toEqual([2, []])
    expect(error).toContain(message)
    expect(error.split('\n')).toHaveLength(1)
  })

  it('tells each mistake of a list in a line, with its place', async () => {
    const { file, folder } = configFile()
    const list = join(folder, 'images.yml')
    writeFileSync(list, 'docker.io:\n  image: {}\n  images:\n    redis: ["a b"]\n')
    const { opened, command } = here()
    const { code, error } = await runCommand(command, ['--config', file, '--file', list])
    expect([code, opened.jobs]).toEqual([2, []])
    expect(error.split('\n')).toEqual([
      expect.stringMatching(/images\.yml:2:3: this is not a key; the keys here are images, /),
      expect.stringMatching(/images\.yml:4:13: this is neither a tag nor a digest/),
    ])
  })
})

function lines(events: readonly object[]): Answer {
  return { body: events.map((event) => `${JSON.stringify(event)}\n\n`).join('') }
}

describe('a running mirror', () => {
  const TOKEN = { ENTREPOT_TOKEN: 'entp_x' }

  it('is asked for the job, and told as if it ran here', async () => {
    const server = await answering(lines([...EVENTS, { event: 'something new' }, SUMMARY]))
    const { command } = here()
    const args = [IMAGE, '--server', server.url, '--concurrency', '2', '--platform', 'linux/amd64']
    const { code, out } = await runCommand(command, args, TOKEN)
    expect([code, out.split('\n').length]).toEqual([0, 3])
    const [{ method, path, headers, body } = {} as Sent] = server.sent
    expect([method, path, headers.authorization]).toEqual(['POST', '/api/v1/warm', 'Bearer entp_x'])
    expect(JSON.parse(body)).toEqual({
      images: [IMAGE],
      selections: [],
      platforms: ['linux/amd64'],
      concurrency: 2,
      dryRun: false,
    })
  })

  it('is asked for a long list in parts, which are added up', async () => {
    const { folder } = configFile()
    const list = join(folder, 'images.yml')
    const tags = Array.from({ length: 2500 }, (_, index) => `'${index}'`).join(',')
    const all = Array.from({ length: 150 }, (_, index) => `r${index}: []`).join(', ')
    writeFileSync(list, `docker.io: { images: { app: [${tags}], ${all} } }\n`)
    const server = await answering(lines([SUMMARY]))
    const { command } = here()
    const args = ['--file', list, '--server', server.url, '--json']
    const { out } = await runCommand(command, args, TOKEN)
    const bodies = server.sent.map(({ body }) => JSON.parse(body))
    expect(Math.max(...server.sent.map(({ body }) => body.length))).toBeLessThan(64 * 1024)
    expect(bodies.map(({ images, selections }) => [images.length, selections.length])).toEqual([
      [1000, 0],
      [1000, 0],
      [500, 100],
      [0, 50],
    ])
    expect(out.split('\n').map((line) => JSON.parse(line))).toEqual([
      { ...SUMMARY, images: 8, blobs: 12, bytes: 8192, alreadyThere: 4, milliseconds: 16_000 },
    ])
  })

  it.each([
    ['breaks off', lines(EVENTS), 1, 'The mirror broke the job off: its log says why.'],
    ['says what nobody knows', lines([{ event: 'image-failed' }]), 1, 'no mirror, or one of anoth'],
    ['is none', { status: 404 }, 1, 'there is no API for operators there'],
    [
      'refuses',
      {
        status: 400,
        body: JSON.stringify({ type: 'urn:entrepot:invalid', detail: 'images: No.' }),
      },
      2,
      'images: No.',
    ],
  ])('that %s is told of in a line', async (_, answer, expected, message) => {
    const server = await answering(answer)
    const { command } = here()
    const { code, error } = await runCommand(command, [IMAGE, '--server', server.url], TOKEN)
    expect([code, error]).toEqual([expected, expect.stringContaining(message)])
  })

  it('that runs here is asked as the host, by a token that is gone afterwards', async () => {
    let tokens = 0
    const server = await answering(({ headers }) => {
      tokens += headers.authorization?.startsWith('Bearer entp_') === true ? 1 : 0
      return lines([...EVENTS, SUMMARY])
    })
    const { file, data, folder } = configFile(`listen: 127.0.0.1:${server.port}`)
    mkdirSync(data)
    const list = join(folder, 'images.yml')
    writeFileSync(list, `${LIST}  tls-verify: true\n`)
    const lock = lockFolder(data)
    try {
      const { opened: own, command } = here()
      const args = ['--config', file, IMAGE, '--file', list]
      const { code, error } = await runCommand(command, args)
      expect([code, tokens, own.jobs]).toEqual([0, 1, []])
      expect(error).toContain('What the list says of accounts and TLS does not count')
      const { loadConfig } = await import('../../src/config/load.ts')
      const { createLog } = await import('../../src/log.ts')
      const log = createLog({ write: () => undefined })
      const opened = await openOperator(loadConfig(file, {}), { log })
      expect(await opened.operator.tokens()).toEqual([])
      await opened.close()
      await runCommand(command, args, TOKEN)
      expect(server.sent.at(-1)?.headers.authorization).toBe('Bearer entp_x')
    } finally {
      lock.release()
    }
  })

  it('that runs here under a name that may be that of another machine is not sent a token', async () => {
    const { file, data } = configFile('listen: mirror.example:5000')
    mkdirSync(data)
    const lock = lockFolder(data)
    const { command } = here()
    const { code, error } = await runCommand(command, ['--config', file, IMAGE])
    lock.release()
    expect(code).toBe(2)
    expect(error).toContain('say --server with its https URL, and --token-file')
  })
})
