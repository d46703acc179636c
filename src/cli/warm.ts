/** entrepot warm: fetch images before anybody pulls them. */
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import type { Config } from '../config/schema.ts'
import type { OpenOperator } from '../operator.ts'
import {
  DEFAULT_CONCURRENCY,
  ImageListError,
  isFolderLocked,
  MAX_CONCURRENCY,
  parseImageList,
  parsePlatforms,
  PlatformError,
  type ImageList,
  type OpenWarming,
  type WarmEvent,
  type WarmSummary,
} from '../warming.ts'
import { createApiClient } from './api-client.ts'
import { readToken } from './api-token.ts'
import { failWith, UsageError, type Command, type ExitCode, type Io } from './command.ts'
import { readArguments, type OptionValues } from './configuration.ts'
import { createMaintenanceLog } from './gc.ts'
import { addressOf, isConfidential, ownAddress, type MirrorAddress } from './mirror-address.ts'
import { warmRemotely, type WarmRequest } from './warm-remote.ts'
import { createWarmReport } from './warm-report.ts'

const OPTIONS = {
  file: 'string',
  platform: 'strings',
  'all-platforms': 'boolean',
  concurrency: 'string',
  'dry-run': 'boolean',
  json: 'boolean',
  server: 'string',
  'token-file': 'string',
} as const

type Options = OptionValues<typeof OPTIONS>

/** What is asked for, and what its list says besides of how registries are to be asked. */
interface Wanted {
  readonly request: WarmRequest
  readonly access: ImageList['access']
}

interface Call {
  readonly wanted: Wanted
  readonly options: Options
  readonly io: Io
  readonly signal: AbortSignal
  readonly onEvent: (event: WarmEvent) => void
}

interface Openers {
  readonly openWarming: OpenWarming
  readonly openOperator: OpenOperator
}

const GIVEN_UP = 'It was given up. What has come is kept, and the next run goes on from there.'
/** Bytes of a list. */
const MAX_LIST = 1024 * 1024
/** Milliseconds for which the token with which the host asks its own mirror counts, if nobody removes it. */
const OWN_TOKEN_TTL = 24 * 60 * 60 * 1000

export function createWarm(openers: Openers): Command {
  return async function warm(args, io, signal) {
    try {
      const { source, options, operands } = readArguments(args, io.env, OPTIONS, true)
      const wanted = await readWanted(operands, options, io, signal)
      const report = createWarmReport(io, {
        json: options.json === true,
        dryRun: wanted.request.dryRun,
      })
      try {
        const call = {
          wanted,
          options,
          io,
          signal,
          onEvent: (event: WarmEvent) => report.note(event),
        }
        const summary = await (options.server === undefined
          ? warmHere(source.load(), call, openers)
          : warmAt(options.server, call))
        report.finish(summary)
        return exitCodeOf(summary)
      } finally {
        report.close()
      }
    } catch (error) {
      if (signal.aborted) return failWith(io, new Error(GIVEN_UP))
      return failWith(io, isInvalid(error) ? new UsageError(error.message) : error)
    }
  }
}

function exitCodeOf({ failed }: WarmSummary): ExitCode {
  return failed === 0 ? 0 : 1
}

function isInvalid(error: unknown): error is Error {
  return error instanceof ImageListError || error instanceof PlatformError
}

async function readWanted(
  operands: readonly string[],
  options: Options,
  io: Io,
  signal: AbortSignal,
): Promise<Wanted> {
  const { file, platform = [], 'all-platforms': all = false } = options
  if (all && platform.length > 0) {
    throw new UsageError('Say --platform or --all-platforms, not both')
  }
  const platforms = all ? ['all'] : platform
  parsePlatforms(platforms)
  const list = file === undefined ? undefined : await readList(file, io, signal)
  const sources = [...operands.map((image) => ({ image })), ...(list?.sources ?? [])]
  if (sources.length === 0 || operands.includes('')) {
    throw new UsageError('Say which images: entrepot warm IMAGE…, or --file with a list of them')
  }
  const request = {
    sources,
    platforms,
    concurrency: readConcurrency(options.concurrency),
    dryRun: options['dry-run'] === true,
  }
  return { request, access: list?.access ?? [] }
}

async function readList(file: string, io: Io, signal: AbortSignal): Promise<ImageList> {
  if (file === '-') return parseImageList(await io.input.read(MAX_LIST, signal), 'standard input')
  try {
    return parseImageList(readFileSync(file, 'utf8'), file)
  } catch (error) {
    if (error instanceof ImageListError) throw error
    const { code = 'unknown error' } = error as NodeJS.ErrnoException
    throw new UsageError(`--file ${file} cannot be read: ${code}`, { cause: error })
  }
}

function readConcurrency(text: string | undefined): number {
  if (text === undefined) return DEFAULT_CONCURRENCY
  const count = /^\d{1,3}$/.test(text) ? Number(text) : 0
  if (count >= 1 && count <= MAX_CONCURRENCY) return count
  throw new UsageError(`--concurrency takes a number from 1 to ${MAX_CONCURRENCY}`)
}

function warmAt(server: string, call: Call): Promise<WarmSummary> {
  const address = addressOf(server)
  const token = readToken(call.options['token-file'], call.io.env, address)
  if (token === undefined) {
    throw new UsageError('A mirror wants to know who asks: say --token-file, or set ENTREPOT_TOKEN')
  }
  return askMirror(address, token, call)
}

/** A mirror that runs here has the data folder, so it is asked; else the folder is opened by this process. */
async function warmHere(
  config: Config,
  call: Call,
  { openWarming, openOperator }: Openers,
): Promise<WarmSummary> {
  const { wanted, options, io, signal, onEvent } = call
  if (isFolderLocked(config.data)) return askOwnMirror(config, call, openOperator)
  if (options['token-file'] !== undefined) {
    throw new UsageError('--token-file goes with --server, or with a mirror that runs here')
  }
  const { sources, concurrency, dryRun, platforms } = wanted.request
  const warming = await openWarming(config, {
    log: createMaintenanceLog(io),
    access: wanted.access,
    warn: (message) => io.error(message),
  })
  try {
    const job = { sources, concurrency, dryRun, platforms: parsePlatforms(platforms) }
    return await warming.run(job, { onEvent, signal })
  } finally {
    await warming.close()
  }
}

async function askOwnMirror(
  config: Config,
  call: Call,
  openOperator: OpenOperator,
): Promise<WarmSummary> {
  const { options, io } = call
  const address = ownAddress(config)
  const given = readToken(options['token-file'], io.env, address)
  if (given !== undefined) return askMirror(address, given, call)
  if (!staysHere(address)) {
    throw new UsageError(
      `The mirror runs, and is asked at ${address.name}: say --server with its https URL, and --token-file`,
    )
  }
  // Whoever may write the data folder may do everything; for the mirror that takes a token.
  const opened = await openOperator(config, { log: createMaintenanceLog(io) })
  try {
    const { id, token } = await opened.operator.addToken({
      name: `warm-${process.pid}`,
      grants: [{ role: 'operate', pattern: '**' }],
      expiresAt: Date.now() + OWN_TOKEN_TTL,
    })
    try {
      return await askMirror(address, token, call)
    } finally {
      await opened.operator.removeToken(id)
    }
  } finally {
    await opened.close()
  }
}

/** An address of this machine, where it listens, is reached without leaving it. */
function staysHere(address: MirrorAddress): boolean {
  return isConfidential(address) || isIP(address.connection.host ?? '') !== 0
}

function askMirror(
  address: MirrorAddress,
  token: string,
  { wanted, io, signal, onEvent }: Call,
): Promise<WarmSummary> {
  if (wanted.access.length > 0) {
    io.error(
      'What the list says of accounts and TLS does not count: the mirror asks its upstreams as it is configured.',
    )
  }
  return warmRemotely(createApiClient(address, { token, signal }), wanted.request, onEvent)
}
