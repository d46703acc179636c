/** The only place that makes loggers. One JSON object a line; secrets are cut out before they are written. */
import { pino, type DestinationStream, type Logger } from 'pino'

export type Log = Logger

const REDACTED_KEYS = ['password', 'token', 'authorization', 'cookie', 'access_token', 'secret']

export function createLog(destination?: DestinationStream, level = 'info'): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: REDACTED_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]),
    },
    destination,
  )
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
