/** entrepot status: how a running mirror is doing. */
import { readToken } from './api-token.ts'
import { createPaint } from './colour.ts'
import { failWith, type Command } from './command.ts'
import { readArguments } from './configuration.ts'
import { addressOf, ownAddress } from './mirror-address.ts'
import { askStatus, parseStatus, type OperatingStatus } from './status-client.ts'
import { statusText } from './status-text.ts'
import { watch, type Watch } from './status-watch.ts'
import { jsonText, timeText } from './text.ts'

const OPTIONS = {
  server: 'string',
  'token-file': 'string',
  json: 'boolean',
  watch: 'boolean',
} as const

export const status: Command = createStatus()

/** @param pause between two looks */
export function createStatus({ pause }: Pick<Watch, 'pause'> = {}): Command {
  return async function status(args, io, signal) {
    try {
      const { source, options } = readArguments(args, io.env, OPTIONS)
      const { server, json = false } = options
      const address = server === undefined ? ownAddress(source.load()) : addressOf(server)
      const token = readToken(options['token-file'], io.env, address)
      const ask = async (): Promise<OperatingStatus> =>
        parseStatus(await askStatus(address, token, signal))
      const paint = createPaint(io)
      const describe = (answer: OperatingStatus): string =>
        statusText(address.name, answer, { now: Date.now(), paint })
      if (options.watch !== true) {
        const answer = await ask()
        io.out(json ? jsonText(answer) : describe(answer))
        return 0
      }
      const frame = json
        ? () => lineOf(ask)
        : () => blockOf(async () => describe(await ask()), io.terminal === undefined)
      await watch({ frame, signal, pause }, json ? { ...io, terminal: undefined } : io)
      return 0
    } catch (error) {
      return failWith(io, error)
    }
  }
}

/** For programs. A mirror that is gone for now is worth a line as well. */
async function lineOf(ask: () => Promise<OperatingStatus>): Promise<string> {
  try {
    return jsonText(await ask(), 0)
  } catch (error) {
    return jsonText({ error: reasonOf(error) }, 0)
  }
}

/** @param isApart whether it stands below the one before */
async function blockOf(text: () => Promise<string>, isApart: boolean): Promise<string> {
  const body = await text().catch(reasonOf)
  return `${timeText(Date.now())}\n${body}${isApart ? '\n' : ''}`
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
