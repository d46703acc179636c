/** When a cron expression means next. The only file that knows its library. */
import { Cron } from 'croner'

/**
 * @param timeZone IANA name; `undefined`: that of the process
 * @param after milliseconds since the epoch
 * @returns milliseconds since the epoch; `undefined`: never
 * @throws {Error} when it is no expression of five fields
 */
export function nextTime(
  expression: string,
  timeZone: string | undefined,
  after: number,
): number | undefined {
  const cron = new Cron(expression, {
    paused: true,
    mode: '5-part',
    ...(timeZone !== undefined && { timezone: timeZone }),
  })
  return cron.nextRun(new Date(after))?.getTime()
}
