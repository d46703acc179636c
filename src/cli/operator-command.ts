/** What commands over the operators' use-cases have in common: arguments, and whose use-cases they are. */
import type { OpenOperator, Operator } from '../operator.ts'
import { createApiClient } from './api-client.ts'
import { readToken } from './api-token.ts'
import { failWith, UsageError, type Command, type ExitCode, type Io } from './command.ts'
import {
  readArguments,
  type ConfigurationSource,
  type OptionValues,
  type OwnOptions,
} from './configuration.ts'
import { createMaintenanceLog } from './gc.ts'
import { addressOf } from './mirror-address.ts'
import { createOperatorClient } from './operator-client.ts'
import { jsonText } from './text.ts'

/** How an action was called. */
interface Given<O extends OwnOptions> {
  /** As many as the action has. */
  readonly operands: readonly string[]
  readonly options: OptionValues<O>
  readonly io: Io
  readonly signal: AbortSignal
  /** Milliseconds since the epoch. */
  readonly now: number
  /**
   * The result.
   * @param data as the API has it
   */
  readonly print: (data: object, text: () => string) => void
}

/** What is left to do once everything that was given makes sense; it ends with 0 unless it says otherwise. */
export type Work = (operator: Operator) => Promise<ExitCode | void>

interface ActionDefinition<O extends OwnOptions> {
  /** `NAME`, or `[NAME]` for one that may be left out. */
  readonly operands: readonly string[]
  readonly options: O
  /**
   * Looks at what was given, before anything is opened or asked.
   * @throws {UsageError}
   */
  readonly prepare: (given: Given<O>) => Work | Promise<Work>
}

type Call = {
  /** `allow add` */
  readonly name: string
  readonly args: readonly string[]
  readonly io: Io
  readonly signal: AbortSignal
  readonly openOperator: OpenOperator
}

/** Throws what the command fails with. */
export type Action = (call: Call) => Promise<ExitCode>

const COMMON = { server: 'string', 'token-file': 'string', json: 'boolean' } as const

export function createAction<const O extends OwnOptions>({
  operands: names,
  options: own,
  prepare,
}: ActionDefinition<O>): Action {
  return async ({ name, args, io, signal, openOperator }) => {
    const parsed = readArguments(args, io.env, { ...own, ...COMMON }, true)
    const { source, operands } = parsed
    checkOperands(name, names, operands)
    // The types of both, taken apart again.
    const options = parsed.options as OptionValues<O>
    const common = parsed.options as OptionValues<typeof COMMON>
    const open = chooseOperator(common, source, { io, signal, openOperator })
    const print = (data: object, text: () => string): void =>
      io.out(common.json === true ? jsonText(data) : text())
    const work = await prepare({ operands, options, io, signal, now: Date.now(), print })
    const { operator, close } = await open()
    try {
      return (await work(operator)) ?? 0
    } finally {
      await close()
    }
  }
}

/**
 * A command with one action.
 * @param usage words behind the name of the program, for errors
 */
export function createOperatorCommand(
  name: string,
  action: Action,
  openOperator: OpenOperator,
): Command {
  return async (args, io, signal) => {
    try {
      return await action({ name, args, io, signal, openOperator })
    } catch (error) {
      return failWith(io, error)
    }
  }
}

/**
 * A command with several.
 * @param byDefault the action where none is named
 */
export function createOperatorCommands(
  name: string,
  actions: ReadonlyMap<string, Action>,
  openOperator: OpenOperator,
  byDefault?: string,
): Command {
  const choose: Action = (call) => {
    const [first = '', ...rest] = call.args
    const isNamed = byDefault === undefined || (first !== '' && !first.startsWith('-'))
    const chosen = isNamed ? first : byDefault
    const action = actions.get(chosen)
    if (action === undefined) {
      throw new UsageError(`Say one of these: ${name} ${[...actions.keys()].join('|')}`)
    }
    return action({ ...call, name: `${name} ${chosen}`, args: isNamed ? rest : call.args })
  }
  return createOperatorCommand(name, async (call) => choose(call), openOperator)
}

/** Does not repeat what was given: it may be a secret in the wrong place. */
function checkOperands(name: string, names: readonly string[], operands: readonly string[]): void {
  const needed = names.filter((it) => !it.startsWith('[')).length
  const fits = operands.length >= needed && operands.length <= names.length
  if (fits && !operands.includes('')) return
  const usage = ['entrepot', name, ...names].join(' ')
  throw new UsageError(`Say it like this: ${usage}; "entrepot help" tells the options`)
}

interface Opened {
  readonly operator: Operator
  readonly close: () => Promise<void>
}

/**
 * Of the mirror that was named, or of the data folder here.
 * @throws {UsageError} before anything is opened
 */
function chooseOperator(
  { server, 'token-file': tokenFile }: OptionValues<typeof COMMON>,
  source: ConfigurationSource,
  { io, signal, openOperator }: Pick<Call, 'io' | 'signal' | 'openOperator'>,
): () => Promise<Opened> {
  if (server === undefined) {
    if (tokenFile !== undefined) {
      throw new UsageError('--token-file goes with --server: on the host itself nobody is asked')
    }
    return () => openOperator(source.load(), { log: createMaintenanceLog(io) })
  }
  const address = addressOf(server)
  const token = readToken(tokenFile, io.env, address)
  if (token === undefined) {
    throw new UsageError('A mirror wants to know who asks: say --token-file, or set ENTREPOT_TOKEN')
  }
  const operator = createOperatorClient(createApiClient(address, { token, signal }))
  return () => Promise.resolve({ operator, close: () => Promise.resolve() })
}
