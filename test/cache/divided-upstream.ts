/**
 * An upstream of large blobs, and a clock that goes on by what it sends: as much as connections,
 * endpoints, or all of it together let through.
 */
import type { Readable } from 'node:stream'
import { vi } from 'vitest'
import type { FillOptions } from '../../src/cache/fill.ts'
import type { ByteWindow } from '../../src/upstream/upstream.ts'
import { UpstreamError } from '../../src/upstream/upstream.ts'
import { scriptUpstream, type Connection } from './scripted-upstream.ts'

/** What limits how fast bytes come. */
type Bottleneck = 'each connection' | 'each endpoint' | 'the line'

export interface DividedUpstream {
  readonly connect: FillOptions['connect']
  /** What each connection was asked for. */
  readonly windows: readonly ByteWindow[]
  readonly sentBytes: () => number
  /** How often it has refused a connection beside others. */
  readonly refusals: () => number
  /** Connections that were open at a time. */
  readonly most: () => number
  readonly open: () => number
}

export interface UpstreamOptions {
  readonly bottleneck?: Bottleneck
  /** Milliseconds in which a connection brings 256 KiB; 5, which is 50 MB/s. */
  readonly chunkTime?: number
  /** Connections at a time; it refuses more. */
  readonly limit?: number
  readonly script?: readonly Connection[]
  readonly afterwards?: Connection
}

const CHUNK_BYTES = 256 * 1024
const ENDPOINTS = 2
const MOST_REFUSALS = 1000

/** The clock stands still until it is called; ends with the test. */
export function createClock(): { advance(milliseconds: number): void } {
  let now = 1000
  vi.spyOn(performance, 'now').mockImplementation(() => now)
  return { advance: (milliseconds) => void (now += milliseconds) }
}

export function divideUpstream(
  blob: Buffer,
  clock: ReturnType<typeof createClock>,
  {
    bottleneck = 'each connection',
    chunkTime = 5,
    limit = Infinity,
    script = [],
    afterwards = {},
  }: UpstreamOptions = {},
): DividedUpstream {
  const windows: ByteWindow[] = []
  const answers: { readonly body: Readable; readonly lane: number }[] = []
  let most = 0
  let refusals = 0

  /** What was sent whole does not count, even before its reader has closed it. */
  const open = () => answers.filter(({ body }) => !body.destroyed && !body.readableEnded)

  function shares(): number {
    if (bottleneck === 'the line') return 1
    if (bottleneck === 'each connection') return open().length
    return new Set(open().map(({ lane }) => lane % ENDPOINTS)).size
  }

  const upstream = scriptUpstream(blob, script, {
    afterwards,
    chunkSizes: [CHUNK_BYTES],
    turn: async () => clock.advance(chunkTime / Math.max(1, shares())),
  })

  return {
    windows,
    sentBytes: upstream.sentBytes,
    refusals: () => refusals,
    most: () => most,
    open: () => open().length,
    async connect(window, signal) {
      if (open().length >= limit) {
        refusals += 1
        // Whoever asks for ever would keep the test from ever ending.
        if (refusals < MOST_REFUSALS) throw new UpstreamError('rate-limited', 'That is too much.')
      }
      const { ignoresRange = false } = script[windows.length] ?? afterwards
      windows.push(window)
      const answer = await upstream.connect(window, signal)
      answers.push({ body: answer.body, lane: window.lane ?? 0 })
      most = Math.max(most, open().length)
      const isRange = window.first > 0 || window.last !== undefined
      return { ...answer, ignoresRange: isRange && ignoresRange }
    },
  }
}
