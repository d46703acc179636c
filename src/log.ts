/** The only place that makes loggers. One JSON object a line; secrets are cut out before they are written. */
import { destination as openDestination, pino, type DestinationStream, type Logger } from 'pino'

export type Log = Logger

/** From the one that writes most to the one that writes least. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

const REDACTED_KEYS = ['password', 'token', 'authorization', 'cookie', 'access_token', 'secret']

/** @param destination default: standard output */
export function createLog(destination = standardOutput(), level = 'info'): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: createTimestamp(),
      formatters: { level: (label) => ({ level: label }) },
      redact: REDACTED_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]),
    },
    destination,
  )
}

/** Put into words once for all lines of a millisecond. */
function createTimestamp(): () => string {
  let [at, text] = [Number.NaN, '']
  return () => {
    const now = Date.now()
    if (now !== at) text = `,"time":"${new Date(now).toISOString()}"`
    at = now
    return text
  }
}

/** Characters after which lines are written within a turn: docker reads so much at a time. */
const MAX_WRITE = 16 * 1024

/**
 * The lines of one turn of the event loop in as few writes as may be: a system call for each line was a
 * sixth of what a hot manifest costs. Nothing waits for longer than that turn, and what is left when the
 * process ends is written then.
 */
function standardOutput(): DestinationStream {
  const output = openDestination({ dest: 1, sync: true })
  let lines = ''
  let isExiting = false
  const flush = (): void => {
    if (lines !== '') output.write(lines)
    lines = ''
  }
  process.once('exit', () => {
    isExiting = true
    flush()
  })
  return {
    write(line) {
      // Whoever is told of the exit after this has no later turn.
      if (isExiting) return void output.write(line)
      // Nearly all of them are ASCII, and counting bytes costs more than it is worth.
      if (lines.length + line.length > MAX_WRITE) flush()
      if (lines === '') setImmediate(flush)
      lines += line
    },
  }
}

const MAX_LOGGED_LENGTH = 256

/**
 * A string that a client or upstream chose, made fit for a log line: bounded, and without the
 * control characters that a terminal would obey (security rule R28).
 */
export function loggable(text: string | undefined): string | undefined {
  // oxlint-disable-next-line no-control-regex -- control characters are what is removed
  return text?.slice(0, MAX_LOGGED_LENGTH).replace(/[\u0000-\u001f\u007f-\u009f]/g, '?')
}

/** A URL without what may be secret in it: user information, and the signature in a query string. */
export function loggableUrl(url: URL): string {
  return `${url.origin}${url.pathname}${url.search === '' ? '' : '?…'}`
}
