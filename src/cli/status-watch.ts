/** Draws something again and again, until it is told to end. */
import { setTimeout } from 'node:timers/promises'
import type { Io, Terminal } from './command.ts'

export interface Watch {
  /** What is drawn. Never rejects: what went wrong is drawn, too. */
  readonly frame: () => Promise<string>
  readonly signal: AbortSignal
  /** Resolves when it is time to look again; rejects when the signal aborts. */
  readonly pause?: ((signal: AbortSignal) => Promise<unknown>) | undefined
}

/** Milliseconds between two looks. */
const INTERVAL = 1000

const everySecond = (signal: AbortSignal): Promise<unknown> =>
  setTimeout(INTERVAL, undefined, { signal })

/** In place on a terminal, else one after another. */
export async function watch(
  { frame, signal, pause = everySecond }: Watch,
  { out, terminal }: Pick<Io, 'out' | 'terminal'>,
): Promise<void> {
  const screen = terminal && openScreen(terminal)
  try {
    while (!signal.aborted) {
      const text = await frame()
      if (signal.aborted) break
      if (screen === undefined) out(text)
      else screen.draw(text)
      await pause(signal).catch(() => undefined)
    }
  } finally {
    screen?.close()
  }
}

interface Screen {
  draw(text: string): void
  close(): void
}

/** https://invisible-island.net/xterm/ctlseqs/ctlseqs.html: the other screen, no cursor, no wrapping of long lines. */
const ENTER = '\u001b[?1049h\u001b[?25l\u001b[?7l'
const LEAVE = '\u001b[?7h\u001b[?25h\u001b[?1049l'
const HOME = '\u001b[H'
const CLEAR_TO_END_OF_LINE = '\u001b[K'
const CLEAR_BELOW = '\u001b[J'

/** Drawn over what was there, so that nothing flickers; what is on the screen of before comes back. */
function openScreen(terminal: Terminal): Screen {
  terminal.write(ENTER)
  return {
    draw(text) {
      const lines = text.split('\n')
      const shown = lines.slice(0, terminal.rows() || lines.length)
      const drawn = shown.map((line) => `${line}${CLEAR_TO_END_OF_LINE}`).join('\r\n')
      terminal.write(`${HOME}${drawn}${CLEAR_BELOW}`)
    },
    close: () => terminal.write(LEAVE),
  }
}
