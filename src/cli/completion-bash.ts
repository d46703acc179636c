/** Completion for bash, from version 3.2 on, which macOS has. Pure. */
import { groupByValue } from './completion-values.ts'
import type { CommandModel } from './usage-model.ts'

export function bashCompletion(commands: readonly CommandModel[]): string {
  return `# Completion of entrepot in bash, as "entrepot completion bash" writes it.
_entrepot() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  local actions= options= IFS=$' \\t\\n'
  COMPREPLY=()
  # "--name=value" comes as three words.
  if [[ $current == = ]]; then current=; fi
  if [[ $previous == = ]]; then previous=\${COMP_WORDS[COMP_CWORD - 2]}; fi
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '${commands.map(({ name }) => name).join(' ')} --help --version' -- "$current"))
    return
  fi
  case \${COMP_WORDS[1]} in
${commands.map(commandCase).join('\n')}
  *) return ;;
  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  elif ((COMP_CWORD == 2)); then
    COMPREPLY=($(compgen -W "\${actions:-$options}" -- "$current"))
  fi
}

_entrepot_paths() {
  local IFS=$'\\n'
  COMPREPLY=($(compgen "$1" -- "$2"))
  compopt -o filenames 2>/dev/null
}

complete -F _entrepot entrepot`
}

function commandCase({ name, actions, options }: CommandModel): string {
  const { files, folders, others, choices } = groupByValue(options)
  const values = [
    ...caseOf(files, '_entrepot_paths -f "$current"'),
    ...caseOf(folders, '_entrepot_paths -d "$current"'),
    ...choices.flatMap((option) =>
      caseOf(
        [option.name],
        `COMPREPLY=($(compgen -W '${option.choices.join(' ')}' -- "$current"))`,
      ),
    ),
    ...caseOf(others, ':'),
  ]
  return [
    `  ${name})`,
    ...(values.length === 0 ? [] : ['    case $previous in', ...values, '    esac']),
    `    actions='${actions.join(' ')}'`,
    `    options='${[...options.map((option) => option.name), '--help'].join(' ')}'`,
    '    ;;',
  ].join('\n')
}

function caseOf(names: readonly string[], act: string): string[] {
  return names.length === 0
    ? []
    : [`    ${names.join(' | ')})`, `      ${act}`, '      return', '      ;;']
}
