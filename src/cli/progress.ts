/** Bars on a terminal for what is being fetched, below the lines that stay. */
import type { WarmEvent } from '../warming.ts'
import type { Paint } from './colour.ts'
import type { Terminal } from './command.ts'
import { createProgressState, type ImageProgress, type JobProgress } from './progress-state.ts'
import { countText, durationText, rateText, shareText, sizeText } from './text.ts'
import { name } from './warm-text.ts'

export interface ProgressBars {
  note(event: WarmEvent): void
  /** A line that stays. */
  print(line: string): void
  /** Takes the bars away. */
  close(): void
}

interface ProgressOptions {
  readonly terminal: Terminal
  readonly paint: Paint
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number
  /** @returns ends the wait */
  readonly wait?: (milliseconds: number, then: () => void) => () => void
}

/** Milliseconds between two writes, so that a slow terminal keeps up. */
const DRAW_EVERY = 100
const BAR_WIDTH = 24
/** Of `21.9 MiB of 21.9 MiB`. */
const AMOUNT_WIDTH = 20
/** Lines of images at most, as more are not looked at. */
const MAX_BARS = 12

/** https://invisible-island.net/xterm/ctlseqs/ctlseqs.html: up some lines, and everything below is empty. */
const CLEAR_BELOW = '\u001b[J'
const up = (lines: number): string => (lines === 0 ? '' : `\u001b[${lines}A`)

export function createProgressBars({
  terminal,
  paint,
  now = () => performance.now(),
  wait = waitReally,
}: ProgressOptions): ProgressBars {
  const state = createProgressState(now)
  let lines: string[] = []
  let drawn = 0
  let isClosed = false
  let endWait: (() => void) | undefined

  /** Everything in one write. */
  function draw(bars: readonly string[]): void {
    const above = lines.map((line) => `${line}\r\n`).join('')
    const below = bars.map((line) => `${line}\r\n`).join('')
    terminal.write(`\r${up(drawn)}${CLEAR_BELOW}${above}${below}`)
    lines = []
    drawn = bars.length
  }

  /** At once the first time, then when it is time again; goes on by itself, as time is on the bars. */
  function schedule(milliseconds: number): void {
    endWait ??= wait(milliseconds, () => {
      endWait = undefined
      if (isClosed) return
      draw(barsOf(state.read(), terminal, paint))
      schedule(DRAW_EVERY)
    })
  }

  schedule(0)
  return {
    note: (event) => state.note(event),
    print: (line) => void lines.push(line),
    close() {
      if (isClosed) return
      isClosed = true
      endWait?.()
      draw([])
    },
  }
}

function barsOf(progress: JobProgress, terminal: Terminal, paint: Paint): string[] {
  // A line that reaches the edge would wrap, and the next drawing would begin too low.
  const width = Math.max(20, terminal.columns()) - 1
  const room = Math.max(1, Math.min(MAX_BARS, terminal.rows() - 2))
  const bars = progress.running.slice(0, room).map((image) => imageLine(image, width, paint))
  const more = progress.running.length - bars.length
  return [
    ...bars,
    ...(more > 0 ? [`… and ${countText(more, 'image')} more`.slice(0, width)] : []),
    paint('bold', totalLine(progress).slice(0, width)),
  ]
}

function imageLine(image: ImageProgress, width: number, paint: Paint): string {
  const here = image.done + [...image.partial.values()].reduce((sum, it) => sum + it, 0)
  if (image.total === undefined) return `${name(image.image)}: looking`.slice(0, width)
  const total = Math.max(image.total, here)
  const amount = `${sizeText(here)} of ${sizeText(total)}`
  const figures = ` ${shareText(here, total).padStart(5)} ${amount.padStart(AMOUNT_WIDTH)}`
  const room = width - figures.length - BAR_WIDTH - 3
  if (room < 10) return `${name(image.image)}${figures}`.slice(0, width)
  const filled = total === 0 ? 0 : Math.floor((here / total) * BAR_WIDTH)
  const bar = `${paint('green', '='.repeat(filled))}${' '.repeat(BAR_WIDTH - filled)}`
  return `${shortened(name(image.image), room)} [${bar}]${figures}`
}

/** The end of a name tells more than its beginning. */
function shortened(text: string, width: number): string {
  return (text.length > width ? `…${text.slice(1 - width)}` : text).padEnd(width)
}

function totalLine({ images, ended, failed, fetched, rate, left }: JobProgress): string {
  if (images === undefined) return 'asking for tags'
  const trouble = failed === 0 ? '' : `, ${failed} failed`
  const time = left === undefined ? '' : `, ${durationText(left)} left`
  return `${ended} of ${countText(images, 'image')}${trouble}, ${sizeText(fetched)} fetched, ${rateText(Math.round(rate))}${time}`
}

function waitReally(milliseconds: number, then: () => void): () => void {
  const timer = setTimeout(then, milliseconds)
  timer.unref()
  return () => clearTimeout(timer)
}
