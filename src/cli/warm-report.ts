/** How a warm job is shown: bars on a terminal, lines elsewhere, events for programs. */
import type { WarmEvent, WarmSummary } from '../warming.ts'
import { createPaint } from './colour.ts'
import type { Io } from './command.ts'
import { createProgressBars } from './progress.ts'
import { jsonText, sizeText } from './text.ts'
import { eventText, name, summaryText } from './warm-text.ts'

export interface WarmReport {
  note(event: WarmEvent): void
  /** Of all that was asked for. */
  finish(summary: WarmSummary): void
  /** In any case, as the bars have to go. */
  close(): void
}

interface ReportOptions {
  readonly json: boolean
  readonly dryRun: boolean
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number
}

/** Milliseconds without a line about an image that is being fetched, where there are no bars. */
const SAY_EVERY = 30_000

export function createWarmReport(io: Io, options: ReportOptions): WarmReport {
  if (options.json) return eventsFor(io)
  return io.terminal === undefined ? linesFor(io, options) : barsFor(io, io.terminal, options)
}

/** Summaries are told once, by `finish`. */
function eventsFor(io: Io): WarmReport {
  const print = (event: WarmEvent): void => io.out(jsonText(event, 0))
  return {
    note: (event) => event.event !== 'summary' && print(event),
    finish: print,
    close: () => undefined,
  }
}

function linesFor(io: Io, { dryRun, now = () => performance.now() }: ReportOptions): WarmReport {
  const saidAt = new Map<string, number>()

  function noteProgress({ image, bytes, size, blob }: Progress): void {
    const last = saidAt.get(blob) ?? now()
    const isTime = now() - last >= SAY_EVERY
    saidAt.set(blob, isTime ? now() : last)
    if (!isTime) return
    const whole = size === undefined ? '' : ` of ${sizeText(size)}`
    io.out(`${name(image)}: a blob, ${sizeText(bytes)}${whole} so far`)
  }

  return {
    note(event) {
      if (event.event === 'blob-progress') noteProgress(event)
      if (event.event === 'blob-finished') saidAt.delete(event.blob)
      const line = eventText(event)
      if (line === undefined) return
      if (event.event === 'image-failed') io.error(line)
      else io.out(line)
    },
    finish: (summary) => io.out(summaryText(summary, dryRun)),
    close: () => undefined,
  }
}

type Progress = Extract<WarmEvent, { event: 'blob-progress' }>

function barsFor(
  io: Io,
  terminal: NonNullable<Io['terminal']>,
  { dryRun }: ReportOptions,
): WarmReport {
  const paint = createPaint(io)
  const bars = createProgressBars({ terminal, paint })
  return {
    note(event) {
      bars.note(event)
      const line = eventText(event)
      if (line !== undefined) bars.print(event.event === 'image-failed' ? paint('red', line) : line)
    },
    finish(summary) {
      bars.close()
      io.out(summaryText(summary, dryRun))
    },
    close: () => bars.close(),
  }
}
