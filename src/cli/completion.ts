/** entrepot completion bash|zsh|fish: what completes commands, actions and options, as the shell has it. */
import { CLIENT_NAMES } from '../client-setup.ts'
import { calledWrongly, failWith, type Command } from './command.ts'
import { bashCompletion } from './completion-bash.ts'
import { fishCompletion } from './completion-fish.ts'
import { zshCompletion } from './completion-zsh.ts'
import { readArguments } from './configuration.ts'
import { readUsage, type CommandModel } from './usage-model.ts'

const SHELLS: ReadonlyMap<string, (commands: readonly CommandModel[]) => string> = new Map([
  ['bash', bashCompletion],
  ['zsh', zshCompletion],
  ['fish', fishCompletion],
])

export const completion: Command = async ([shell = '', ...rest], io) => {
  const write = SHELLS.get(shell)
  if (write === undefined) {
    return calledWrongly(io, `Say one of these: completion ${[...SHELLS.keys()].join('|')}`)
  }
  try {
    readArguments(rest, io.env, {})
    io.out(write(completedCommands()))
    return 0
  } catch (error) {
    return failWith(io, error)
  }
}

/** With what is named behind a command besides its actions. */
function completedCommands(): CommandModel[] {
  const commands = readUsage()
  const names = commands.map(({ name }) => name)
  return [
    ...commands.map((command) =>
      command.name === 'client-config' ? { ...command, actions: CLIENT_NAMES } : command,
    ),
    {
      name: 'help',
      summary: 'the options of a command, and examples',
      actions: names,
      options: [],
    },
  ]
}
