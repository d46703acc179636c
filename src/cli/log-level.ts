/** ENTREPOT_LOG_LEVEL: the level of the log from the first line on, whatever the configuration says. */
import { LOG_LEVELS, type LogLevel } from '../log.ts'
import { UsageError } from './command.ts'
import type { ConfigurationSource } from './configuration.ts'

const VARIABLE = 'ENTREPOT_LOG_LEVEL'

/**
 * @returns `undefined`: the configuration says it
 * @throws {UsageError} when there is no such level
 */
export function readLogLevel(env: NodeJS.ProcessEnv): LogLevel | undefined {
  const text = env[VARIABLE]
  if (text === undefined || text === '') return undefined
  const level = LOG_LEVELS.find((known) => known === text)
  if (level !== undefined) return level
  throw new UsageError(`${VARIABLE} is none of ${LOG_LEVELS.join(', ')}`)
}

export function withLogLevel(
  source: ConfigurationSource,
  logLevel: LogLevel | undefined,
): ConfigurationSource {
  return logLevel === undefined
    ? source
    : { ...source, load: () => ({ ...source.load(), logLevel }) }
}
