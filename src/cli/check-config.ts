/** entrepot check-config: say whether the configuration is right, without starting anything. */
import { failWith, type Command } from './command.ts'
import { readOptions } from './configuration.ts'
import { describeConfig } from './describe.ts'

export const checkConfig: Command = async (args, io) => {
  try {
    const source = readOptions(args, io.env)
    const config = source.load()
    io.out(`${source.file()} is right:`)
    io.out(JSON.stringify(describeConfig(source.file(), config), undefined, 2))
    return 0
  } catch (error) {
    return failWith(io, error)
  }
}
