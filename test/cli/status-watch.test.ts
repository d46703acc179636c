/** What is drawn again and again: in place on a terminal, below one another elsewhere, until it is told to end. */
import { describe, expect, it } from 'vitest'
import type { Command, Io } from '../../src/cli/command.ts'
import { createStatus } from '../../src/cli/status.ts'
import { watch } from '../../src/cli/status-watch.ts'
import { createGate } from '../fakes/gate.ts'
import { BUSY, TRAFFIC } from '../http/statuses.ts'
import { within } from '../support/until.ts'
import { answering, type Answer } from './answering-server.ts'
import { runCommand } from './run-command.ts'

const ENTER = '\u001b[?1049h\u001b[?25l\u001b[?7l'
const LEAVE = '\u001b[?7h\u001b[?25h\u001b[?1049l'
const STATUS = JSON.stringify({ ...BUSY, traffic: TRAFFIC })

interface Screen {
  readonly io: Pick<Io, 'out' | 'terminal'>
  readonly written: string[]
}

function screenOf(rows: number): Screen {
  const written: string[] = []
  const out = (): never => {
    throw new Error('A screen is not written to line by line.')
  }
  const terminal = {
    columns: () => 80,
    rows: () => rows,
    write: (text: string) => void written.push(text),
  }
  return { io: { out, terminal }, written }
}

/** Looks as often as there are frames, then is told to end. */
function frames(texts: readonly string[]) {
  const stop = new AbortController()
  let at = -1
  return {
    signal: stop.signal,
    frame: async () => texts[(at += 1)] ?? '',
    pause: async () => {
      if (at === texts.length - 1) stop.abort()
    },
  }
}

describe('what is watched', () => {
  it('is drawn in place on a screen of its own, which it leaves', async () => {
    const { io, written } = screenOf(24)
    await watch(frames(['one\ntwo', 'three']), io)
    expect(written).toEqual([
      ENTER,
      '\u001b[Hone\u001b[K\r\ntwo\u001b[K\u001b[J',
      '\u001b[Hthree\u001b[K\u001b[J',
      LEAVE,
    ])
  })

  it('is cut where the screen ends', async () => {
    const { io, written } = screenOf(2)
    await watch(frames(['one\ntwo\nthree']), io)
    expect(written[1]).toBe('\u001b[Hone\u001b[K\r\ntwo\u001b[K\u001b[J')
  })

  it('is drawn whole where nobody knows how large the screen is', async () => {
    const { io, written } = screenOf(0)
    await watch(frames(['one\ntwo']), io)
    expect(written[1]).toBe('\u001b[Hone\u001b[K\r\ntwo\u001b[K\u001b[J')
  })

  it('leaves the screen also when it fails', async () => {
    const { io, written } = screenOf(24)
    const failing = { ...frames([]), frame: () => Promise.reject(new Error('No.')) }
    await expect(watch(failing, io)).rejects.toThrow('No.')
    expect(written).toEqual([ENTER, LEAVE])
  })

  it('is written line by line elsewhere', async () => {
    const lines: string[] = []
    await watch(frames(['one', 'two']), { out: (text) => void lines.push(text) })
    expect(lines).toEqual(['one', 'two'])
  })

  it('ends at once when it is told to while it waits', async () => {
    const stop = new AbortController()
    const drawn = createGate()
    const ended = watch({ frame: async () => '', signal: stop.signal }, { out: () => drawn.open() })
    await within(drawn.opened, { what: 'something is drawn' })
    stop.abort()
    await expect(within(ended, { what: 'it ends' })).resolves.toBeUndefined()
  })
})

/** Watches a mirror that answers so, one after another. */
async function watching(answers: readonly Answer[], more: readonly string[] = []) {
  const stop = new AbortController()
  let looked = 0
  const { url } = await answering(() => answers[looked] ?? {})
  const pause = async (): Promise<void> => {
    looked += 1
    if (looked === answers.length) stop.abort()
  }
  const command: Command = createStatus({ pause })
  return runCommand(command, ['--watch', '--server', url, ...more], {}, stop.signal)
}

describe('entrepot status --watch', () => {
  it('goes on while the mirror is started again', async () => {
    const { code, out, error } = await watching([
      { body: STATUS },
      { status: 503, body: '' },
      { body: STATUS },
    ])
    expect([code, error]).toEqual([0, ''])
    const blocks = out.split(/^(?=\d{4}-\d\d-\d\dT)/m)
    expect(blocks.map((block) => block.split('\n')[1]?.replace(/http:\S+/, 'URL'))).toEqual([
      'mirror  URL',
      'The mirror at URL does not tell its status: it answered 503.',
      'mirror  URL',
    ])
    expect(blocks[0]).toMatch(/\n\n$/)
  })

  it('writes one line each time for programs', async () => {
    const { out } = await watching([{ body: STATUS }, { status: 401, body: '' }], ['--json'])
    expect(out.split('\n').map((line) => JSON.parse(line) as unknown)).toEqual([
      JSON.parse(STATUS),
      { error: expect.stringContaining('wants to know who asks') },
    ])
  })

  it('says at the start what can come to nothing', async () => {
    const { code, error } = await runCommand(createStatus(), ['--watch', '--server', 'mirror'])
    expect([code, error]).toEqual([2, expect.stringContaining('--server takes a URL')])
  })

  it('ends in the midst of a question', async () => {
    const stop = new AbortController()
    const { url } = await answering(() => {
      stop.abort()
      return { body: STATUS }
    })
    const ran = runCommand(createStatus(), ['--watch', '--server', url], {}, stop.signal)
    expect(await within(ran, { what: 'it ends' })).toEqual({ code: 0, out: '', error: '' })
  })

  it('draws on a terminal, in colours', async () => {
    const { io, written } = screenOf(50)
    const stop = new AbortController()
    const { url } = await answering({ body: STATUS })
    const command = createStatus({ pause: async () => stop.abort() })
    const onTerminal: Command = (args, given, signal) => command(args, { ...given, ...io }, signal)
    const { code } = await runCommand(onTerminal, ['--watch', '--server', url], {}, stop.signal)
    expect([code, written[0], written.at(-1)]).toEqual([0, ENTER, LEAVE])
    expect(written[1]).toContain('\u001b[1mUPSTREAM\u001b[22m')
    expect(written[1]).toContain('\u001b[33m1 of 2 resting\u001b[39m')
    expect(written[1]).toContain('\u001b[33mscarce\u001b[39m, credentials[0]')
  })
})
