/** Completion for fish. Pure. */
import type { CommandModel, OptionModel } from './usage-model.ts'

export function fishCompletion(commands: readonly CommandModel[]): string {
  return `# Completion of entrepot in fish, as "entrepot completion fish" writes it.
function __entrepot_begins
    test (count (commandline -opc)) -eq 1
end

function __entrepot_command
    set -l before (commandline -opc)
    test (count $before) -ge 2; and test $before[2] = $argv[1]
end

function __entrepot_action
    __entrepot_command $argv[1]; and test (count (commandline -opc)) -eq 2
end

complete -c entrepot -f
${commands.flatMap(commandLines).join('\n')}`
}

function commandLines({ name, summary, actions, options }: CommandModel): string[] {
  return [
    `complete -c entrepot -n __entrepot_begins -a ${name} -d ${quoted(summary)}`,
    ...(actions.length === 0
      ? []
      : [`complete -c entrepot -n '__entrepot_action ${name}' -a ${quoted(actions.join(' '))}`]),
    ...options.map(
      (option) =>
        `complete -c entrepot -n '__entrepot_command ${name}' -l ${option.name.slice(2)}${valueOf(option)} -d ${quoted(option.summary)}`,
    ),
  ]
}

function valueOf({ value, choices }: OptionModel): string {
  if (choices.length > 0) return ` -x -a ${quoted(choices.join(' '))}`
  if (value === 'none') return ''
  if (value === 'file') return ' -r -F'
  return value === 'folder' ? " -x -a '(__fish_complete_directories)'" : ' -x'
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
