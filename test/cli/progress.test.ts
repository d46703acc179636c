/** Bars: what they say, and that a terminal is not written to more often than it can show. */
import { describe, expect, it } from 'vitest'
import { createProgressState } from '../../src/cli/progress-state.ts'
import { createProgressBars } from '../../src/cli/progress.ts'
import type { WarmEvent } from '../../src/warming.ts'

const MIB = 2 ** 20

function clock() {
  let now = 0
  const waits = new Set<{ readonly at: number; readonly call: () => void }>()
  return {
    now: () => now,
    wait: (milliseconds: number, call: () => void) => {
      const wait = { at: now + milliseconds, call }
      waits.add(wait)
      return () => void waits.delete(wait)
    },
    pass: (milliseconds: number): void => {
      const end = now + milliseconds
      for (;;) {
        const due = [...waits].find(({ at }) => at <= end)
        if (due === undefined) break
        waits.delete(due)
        now = Math.max(now, due.at)
        due.call()
      }
      now = end
    },
    waiting: () => waits.size,
  }
}

const planned = (image: string, bytes: number): WarmEvent => ({
  event: 'image-planned',
  image,
  digest: 'sha256:1',
  blobs: 1,
  bytes,
})
const progressed = (image: string, bytes: number): WarmEvent => ({
  event: 'blob-progress',
  image,
  blob: 'sha256:b',
  bytes,
  size: undefined,
})
const finished = (image: string, bytes: number, alreadyThere = false): WarmEvent => ({
  event: 'blob-finished',
  image,
  blob: 'sha256:b',
  bytes,
  alreadyThere,
})
const ended = (image: string): WarmEvent => ({
  event: 'image-finished',
  image,
  digest: 'sha256:1',
  blobs: 1,
  bytes: 1,
  alreadyThere: 0,
  note: undefined,
})
const failed = (image: string): WarmEvent => ({
  event: 'image-failed',
  image,
  reason: 'denied',
  message: 'No.',
})

describe('the state', () => {
  it('knows rate and time left, and takes images it knows nothing of for average ones', () => {
    const { now, pass } = clock()
    const state = createProgressState(now)
    state.note({ event: 'images-selected', images: 4 })
    expect(state.read()).toMatchObject({ images: 4, ended: 0, rate: 0, left: undefined })
    for (const image of ['a', 'b']) {
      state.note({ event: 'image-started', image })
      state.note(planned(image, 100))
    }
    state.note(finished('a', 40, true))
    pass(1000)
    state.note(progressed('b', 20))
    expect(state.read()).toMatchObject({ fetched: 20, rate: 20 })
    // 60 of a, 80 of b, 100 each of two that have not begun, at 20 a second.
    expect(state.read().left).toBe(17_000)
    state.note(finished('b', 100))
    state.note(ended('b'))
    state.note(failed('a'))
    expect(state.read()).toMatchObject({ ended: 2, failed: 1, fetched: 100, running: [] })
  })

  it('forgets what was fetched long ago', () => {
    const { now, pass } = clock()
    const state = createProgressState(now)
    state.note({ event: 'image-started', image: 'a' })
    state.note(finished('a', 1000))
    pass(1000)
    expect(state.read().rate).toBe(1000)
    for (let second = 0; second < 30; second += 1) {
      pass(1000)
      state.read()
    }
    expect(state.read().rate).toBe(0)
  })

  it('counts no selection that failed as an image that ended', () => {
    const state = createProgressState(() => 0)
    state.note({ event: 'tags-selected', source: 'a', tags: 1, refused: 1 })
    state.note(failed('a (all tags)'))
    state.note(progressed('never begun', 1))
    expect(state.read()).toMatchObject({ ended: 0, failed: 1, running: [], images: undefined })
  })
})

describe('the bars', () => {
  function draw(columns = 80, rows = 24) {
    const time = clock()
    const writes: string[] = []
    const terminal = {
      columns: () => columns,
      rows: () => rows,
      write: (text: string) => void writes.push(text),
    }
    const bars = createProgressBars({ terminal, paint: (_, text) => text, ...time })
    return { ...time, bars, writes, last: () => writes.at(-1) ?? '' }
  }

  it('are drawn ten times a second at most, over what was there', () => {
    const { bars, writes, pass, last } = draw()
    bars.note({ event: 'images-selected', images: 2 })
    bars.note({ event: 'image-started', image: 'docker.io/library/redis:7' })
    pass(0)
    expect(last()).toBe(
      '\r\u001b[Jdocker.io/library/redis:7: looking\r\n0 of 2 images, 0 bytes fetched, 0 bytes/s\r\n',
    )
    bars.note(planned('docker.io/library/redis:7', 4 * MIB))
    for (let bytes = 0; bytes < MIB; bytes += 1024) {
      bars.note(progressed('docker.io/library/redis:7', bytes))
    }
    expect(writes).toHaveLength(1)
    bars.note(progressed('docker.io/library/redis:7', MIB))
    pass(1000)
    expect(writes).toHaveLength(11)
    expect(last().startsWith('\r\u001b[2A\u001b[J')).toBe(true)
    expect(last()).toContain('docker.io/library/redis:7')
    expect(last()).toContain('[======                  ]  25 %   1.0 MiB of 4.0 MiB')
    expect(last()).toContain('0 of 2 images, 1.0 MiB fetched, 1.0 MiB/s, 7 seconds left')
  })

  it('leave lines above them, and nothing when they are closed', () => {
    const { bars, pass, last, waiting, writes } = draw()
    pass(0)
    expect(last()).toContain('asking for tags')
    bars.print('docker.io/library/redis:7: done')
    pass(100)
    expect(last()).toBe('\r\u001b[1A\u001b[Jdocker.io/library/redis:7: done\r\nasking for tags\r\n')
    bars.print('one more')
    bars.close()
    expect(last()).toBe('\r\u001b[1A\u001b[Jone more\r\n')
    bars.close()
    pass(1000)
    expect([waiting(), writes.length]).toEqual([0, 3])
  })

  it('fit every terminal', () => {
    for (const [columns, rows] of [
      [10, 2],
      [40, 3],
      [60, 10],
      [200, 50],
    ] as const) {
      const { bars, pass, last } = draw(columns, rows)
      bars.note({ event: 'images-selected', images: 30 })
      for (let index = 0; index < 20; index += 1) {
        const image = `registry.example.com/a/rather/long/name/of/an/image-${index}:latest`
        bars.note({ event: 'image-started', image })
        bars.note(planned(image, MIB))
      }
      bars.note(failed('x'))
      pass(0)
      const lines = last().split('\r\n').slice(0, -1)
      const plain = lines.map((line) => line.replaceAll('\r', '').replaceAll('\u001b[J', ''))
      expect(lines.length).toBeLessThanOrEqual(Math.max(3, Math.min(rows, 14)))
      for (const line of plain) expect(line.length).toBeLessThan(Math.max(20, columns))
      expect(plain.at(-2)).toMatch(/^… and \d+ images? m/)
    }
  })

  it('let nothing of a name control the terminal', () => {
    const { bars, pass, last } = draw()
    bars.note({ event: 'image-started', image: 'evil\u001b[2Jname' })
    pass(0)
    expect(last()).toContain('evil?[2Jname')
  })

  it('are drawn by the real clock as well', () => {
    const writes: string[] = []
    const terminal = { columns: () => 80, rows: () => 24, write: (it: string) => writes.push(it) }
    createProgressBars({ terminal, paint: (_, text) => text }).close()
    expect(writes).toHaveLength(1)
  })
})
