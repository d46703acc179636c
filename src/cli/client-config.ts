/** entrepot client-config: what a client needs so that it pulls through the mirror, shown or put in place. */
import { homedir } from 'node:os'
import { isIP } from 'node:net'
import { isAbsolute, resolve } from 'node:path'
import {
  CLIENT_NAMES,
  type ChangedFile,
  clientConfig as configOfClient,
  ClientSetupError,
  describeClient,
  type ClientName,
  type MirrorFacts,
  type Place,
  removeClient,
  writeClient,
} from '../client-setup.ts'
import { parsePublicUrl } from '../config/endpoint.ts'
import type { Config } from '../config/schema.ts'
import { parseRegistryName } from '../config/upstreams.ts'
import { FormatError } from '../formats/format-error.ts'
import { DOCKER_HUB } from '../oci/registry-name.ts'
import { checked, readCa, readClientName, readLogin } from './client-options.ts'
import { calledWrongly, type Command, failWith, type Io, UsageError } from './command.ts'
import { type Arguments, readArguments } from './configuration.ts'
import { jsonText, safeText, tableText } from './text.ts'

const OPTIONS = {
  url: 'string',
  upstream: 'strings',
  'no-fallback': 'boolean',
  ca: 'string',
  username: 'string',
  'password-file': 'string',
  write: 'boolean',
  remove: 'boolean',
  root: 'string',
  home: 'string',
  json: 'boolean',
} as const

type Given = Arguments<typeof OPTIONS>
type ClientConfig = ReturnType<typeof configOfClient>

export const clientConfig: Command = async (args, io) => {
  try {
    const given = readArguments(args, io.env, OPTIONS, true)
    const { options } = given
    const [name, ...others] = given.operands
    if (others.length > 0) throw new UsageError('client-config takes one client at a time')
    if (name === undefined && (options.write || options.remove)) {
      throw new UsageError('client-config needs the name of a client for this, such as containerd')
    }
    if (name === undefined) listClients(io, options.json ?? false)
    else await ofOne(configOf(readClientName(name), factsOf(given)), given, io)
    if (name !== undefined && isGuessed(given)) io.error(GUESSED)
    return 0
  } catch (error) {
    return error instanceof ClientSetupError
      ? refused(error, io, args.includes('--remove'))
      : failWith(io, error)
  }
}

/** Nobody has said which registries the mirror has. */
function isGuessed({ options, source }: Given): boolean {
  return options.upstream === undefined && source.isExample()
}

const GUESSED =
  'These are the registries of the example configuration. If the mirror has others, name them with --upstream.'

/** @throws {UsageError} for what could not stand in a file */
function configOf(name: ClientName, facts: MirrorFacts): ClientConfig {
  try {
    return configOfClient(name, facts)
  } catch (error) {
    if (error instanceof FormatError) throw new UsageError(error.message, { cause: error })
    throw error
  }
}

async function ofOne(config: ClientConfig, { options }: Given, io: Io): Promise<void> {
  const { write = false, remove = false, json = false } = options
  if (write && remove) throw new UsageError('--write and --remove are opposites: give one')
  if (!write && !remove) {
    io.out(json ? jsonText(shown(config)) : describeClient(config).trimEnd())
    return
  }
  const changed = await (write ? writeClient : removeClient)(config, placeOf(options, io))
  const { name, title, commands, notes } = config
  if (json) io.out(jsonText({ name, title, changed, commands, notes }))
  else io.out(changesText(config, changed, remove))
}

/** Without what only this program can use. */
function shown({ name, title, files, commands, notes }: ClientConfig): object {
  const plain = files.map(({ path, mode, onlyIfThere = false, text }) => ({
    path,
    mode: mode.toString(8),
    onlyIfThere,
    text,
  }))
  return { name, title, files: plain, commands, notes }
}

function changesText(
  { title, commands, notes }: ClientConfig,
  changed: readonly ChangedFile[],
  isRemoval: boolean,
): string {
  const rows = changed.map(({ path, change, backup, reason }) => [
    change,
    safeText(path, 4096),
    ...(backup === undefined ? [] : [`as it was: ${safeText(backup, 4096)}`]),
    ...(reason === undefined ? [] : [safeText(reason, 4096)]),
  ])
  const parts = [
    rows.length > 0 ? tableText(rows) : `${title} has no file of its own for this.`,
    ...(commands.length > 0
      ? [
          [isRemoval ? 'As for its service:' : 'To make it count:', ...indented(commands)].join(
            '\n',
          ),
        ]
      : []),
    ...(isRemoval || notes.length === 0 ? [] : [notes.join('\n')]),
  ]
  return parts.join('\n\n')
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`)
}

/** What is a secret is not repeated where it was not asked for. */
function refused({ message, file }: ClientSetupError, io: Io, isRemoval: boolean): 2 {
  const isSecret = (file.mode & 0o077) === 0
  const [hint, what] = isRemoval
    ? ['What has to go is printed without --remove.', 'has to go, to be taken out']
    : ['What belongs there is printed without --write.', 'belongs there, to be put in']
  const advice = isSecret ? hint : `This ${what} by hand:\n\n${file.text.trimEnd()}`
  const sentence = safeText(message, 4096).replace(/[^.]$/, '$&.')
  calledWrongly(io, `${sentence} Nothing was changed. ${advice}`)
  return 2
}

function listClients(io: Io, json: boolean): void {
  const facts = { ...EXAMPLE, upstreams: ['docker.io'] }
  const clients = CLIENT_NAMES.map((name) => ({ name, title: configOfClient(name, facts).title }))
  if (json) io.out(jsonText(clients))
  else io.out(tableText(clients.map(({ name, title }) => [name, title])))
}

/** Titles are the same for every mirror. */
const EXAMPLE = {
  url: 'https://mirror.example',
  defaultUpstream: undefined,
  ca: undefined,
  login: undefined,
  fallback: true,
}

function factsOf({ options, source }: Given): MirrorFacts {
  const named = options.upstream?.map((text) => checked('--upstream', text, parseRegistryName))
  // What both options say, no file has to.
  const config = named === undefined || options.url === undefined ? source.load() : undefined
  const upstreams = named ?? [...(config?.upstreams.keys() ?? [])]
  const usual = config?.defaultUpstream ?? DOCKER_HUB
  return {
    url:
      options.url === undefined
        ? ownUrl(config)
        : checked('--url', options.url, (text) => parsePublicUrl(text)),
    upstreams,
    defaultUpstream: upstreams.includes(usual) ? usual : undefined,
    ca: readCa(options.ca),
    login: readLogin(options),
    fallback: !(options['no-fallback'] ?? false),
  }
}

/** Where clients on other hosts find the mirror. */
function ownUrl(config: Pick<Config, 'publicUrl' | 'listen' | 'tls'> | undefined): string {
  if (config?.publicUrl !== undefined) return config.publicUrl
  const { listen, tls = [] } = config ?? {}
  if (listen?.kind !== 'tcp' || listen.port === 0 || isOfThisHostAlone(listen.host)) {
    throw new UsageError(
      'The configuration does not say what clients call the mirror: give --url, such as https://mirror.example, or set publicUrl.',
    )
  }
  const host = isIP(listen.host) === 6 ? `[${listen.host}]` : listen.host
  return parsePublicUrl(`http${tls.length > 0 ? 's' : ''}://${host}:${listen.port}`)
}

/** Addresses that mean this host, or all of its addresses. */
function isOfThisHostAlone(host: string): boolean {
  return /^(?:localhost|127\..*|::1|0\.0\.0\.0|::)$/i.test(host)
}

function placeOf({ root = '/', home }: Given['options'], { env }: Io): Place {
  const path = home ?? env['HOME'] ?? homedir()
  if (!isAbsolute(path)) throw new UsageError('--home takes an absolute path, as the host has it')
  return { root: resolve(root), home: path }
}
