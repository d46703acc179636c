/** Completion for zsh. Pure. */
import { groupByValue } from './completion-values.ts'
import type { CommandModel } from './usage-model.ts'

export function zshCompletion(commands: readonly CommandModel[]): string {
  return `#compdef entrepot
# Completion of entrepot in zsh, as "entrepot completion zsh" writes it.
_entrepot() {
  local previous=\${words[CURRENT - 1]}
  local -a commands actions options
  if ((CURRENT == 2)); then
    commands=(
${commands.map(({ name, summary }) => `      ${described(name, summary)}`).join('\n')}
    )
    _describe command commands
    return
  fi
  case \${words[2]} in
${commands.map(commandCase).join('\n')}
  esac
  if [[ $PREFIX == -* ]]; then
    _describe option options
  elif ((CURRENT == 3 && $#actions > 0)); then
    _describe action actions
  fi
}

if [[ $funcstack[1] == _entrepot ]]; then
  _entrepot "$@"
else
  compdef _entrepot entrepot
fi`
}

function commandCase({ name, actions, options }: CommandModel): string {
  const { files, folders, others, choices } = groupByValue(options)
  const values = [
    ...caseOf(files, '_files'),
    ...caseOf(folders, '_files -/'),
    ...choices.flatMap((option) => caseOf([option.name], `compadd -- ${option.choices.join(' ')}`)),
    ...caseOf(others, '_message value'),
  ]
  return [
    `  (${name})`,
    ...(values.length === 0 ? [] : ['    case $previous in', ...values, '    esac']),
    `    actions=(${actions.join(' ')})`,
    '    options=(',
    ...options.map((option) => `      ${described(option.name, option.summary)}`),
    '    )',
    '    ;;',
  ].join('\n')
}

function caseOf(names: readonly string[], act: string): string[] {
  return names.length === 0 ? [] : [`    (${names.join('|')}) ${act}; return ;;`]
}

/** In quotes; a colon ends the name. */
function described(name: string, summary: string): string {
  return `'${name}:${summary.replaceAll("'", "'\\''").replaceAll(':', '\\:')}'`
}
