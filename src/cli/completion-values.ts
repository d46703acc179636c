/** Options by what is completed behind them. Pure. */
import type { OptionModel } from './usage-model.ts'

interface OptionGroups {
  /** Names of those that a file follows, and so on. */
  readonly files: readonly string[]
  readonly folders: readonly string[]
  /** What follows is for people to know. */
  readonly others: readonly string[]
  readonly choices: readonly OptionModel[]
}

export function groupByValue(options: readonly OptionModel[]): OptionGroups {
  const choices = options.filter((option) => option.choices.length > 0)
  const rest = options.filter((option) => option.choices.length === 0)
  const named = (value: OptionModel['value']): string[] =>
    rest.filter((option) => option.value === value).map(({ name }) => name)
  return { files: named('file'), folders: named('folder'), others: named('other'), choices }
}
