/** entrepot config check, and check-config: whether the configuration is right, without starting anything. */
import { ConfigError } from '../config/problem.ts'
import { failWith, type Command, type ExitCode, type Io } from './command.ts'
import { readArguments, type ConfigurationSource } from './configuration.ts'
import { describeConfig } from './describe.ts'
import { jsonText } from './text.ts'

export const checkConfig: Command = async (args, io) => {
  try {
    const { source, options } = readArguments(args, io.env, { json: 'boolean' })
    return options.json === true ? checkForPrograms(source, io) : check(source, io)
  } catch (error) {
    return failWith(io, error)
  }
}

function check(source: ConfigurationSource, io: Io): ExitCode {
  const config = source.load()
  io.out(`${source.file()} is right:`)
  io.out(JSON.stringify(describeConfig(source.file(), config), undefined, 2))
  return 0
}

function checkForPrograms(source: ConfigurationSource, io: Io): ExitCode {
  try {
    const config = describeConfig(source.file(), source.load())
    io.out(jsonText({ file: source.file(), valid: true, problems: [], config }))
    return 0
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    io.out(jsonText({ file: source.file(), valid: false, problems: error.problems }))
    return 1
  }
}
