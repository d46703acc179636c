/** What `entrepot doctor` is told to look at. */
import { existsSync } from 'node:fs'
import type { Config } from '../config/schema.ts'
import {
  parsePulledImage,
  type ClientName,
  type Examination,
  type Login,
  type MirrorPlace,
} from '../doctor.ts'
import { readToken } from './api-token.ts'
import { checked, readCa, readClientName, readLogin } from './client-options.ts'
import { UsageError } from './command.ts'
import { readArguments, type Arguments } from './configuration.ts'
import { addressOf, isConfidential, ownAddress, type MirrorAddress } from './mirror-address.ts'
import { safeText } from './text.ts'

const OPTIONS = {
  server: 'string',
  image: 'string',
  client: 'string',
  ca: 'string',
  username: 'string',
  'password-file': 'string',
  'token-file': 'string',
  json: 'boolean',
} as const

type Given = Arguments<typeof OPTIONS>

export interface DoctorOptions {
  readonly source: Given['source']
  readonly json: boolean
  /** Whether the host is looked at, and not only a mirror elsewhere. */
  readonly looksAtHost: boolean
  /**
   * The mirror to ask: as was said, or that of the configuration.
   * @returns `undefined` where only the running mirror knows its address
   */
  address(config: Config | undefined): MirrorAddress | undefined
  /** What is asked of that mirror. @throws {UsageError} where a secret would be sent for all to read */
  question(address: MirrorAddress | undefined): Question
}

type Question = Pick<Examination, 'login' | 'token' | 'pull' | 'place' | 'isOwn'>

const DEFAULT_CLIENT: ClientName = 'containerd'

/** @throws {UsageError} before anything was looked at */
export function readDoctorOptions(args: readonly string[], env: NodeJS.ProcessEnv): DoctorOptions {
  const { source, options } = readArguments(args, env, OPTIONS)
  const { server, image, json = false } = options
  const isGiven = (name: string): boolean => args.some((it) => it.split('=', 1)[0] === name)
  if (isGiven('--config') && !existsSync(source.file())) {
    throw new UsageError(`--config "${safeText(source.file())}": there is no such file`)
  }
  if (image === undefined && options.client !== undefined) {
    throw new UsageError('--client says how --image is pulled: give both')
  }
  const named = server === undefined ? undefined : addressOf(server)
  const client = options.client === undefined ? DEFAULT_CLIENT : readClientName(options.client)
  const pull = image === undefined ? undefined : { image: readImage(image), client }
  const ca = readCa(options.ca)
  const login = loginOf(options)
  return {
    source,
    json,
    looksAtHost: server === undefined || isGiven('--config') || isGiven('--data'),
    address: (config) => named ?? (config === undefined ? undefined : addressIn(config)),
    question(address) {
      if (address === undefined) return NOBODY
      if (login !== undefined && !isConfidential(address)) {
        throw new UsageError(
          `The password is not sent to ${address.name}, as everybody on the way could read it: use https, or run this on the host itself`,
        )
      }
      const token = readToken(options['token-file'], env, address)
      return { place: placeOf(address, ca), isOwn: named === undefined, login, token, pull }
    },
  }
}

const NOBODY: Question = {
  place: undefined,
  isOwn: true,
  login: undefined,
  token: undefined,
  pull: undefined,
}

/** Where the registry answers: `api` may be elsewhere, and need not be. */
function addressIn(config: Config): MirrorAddress | undefined {
  try {
    return ownAddress({ ...config, api: 'same' })
  } catch {
    return undefined
  }
}

function placeOf(address: MirrorAddress, ca: string | undefined): MirrorPlace {
  const { name, secure, connection, fingerprints } = address
  const { host, port, socketPath } = connection
  return {
    name,
    secure,
    host: host ?? undefined,
    port: Number(port ?? (secure ? 443 : 80)),
    socketPath: socketPath ?? undefined,
    ca,
    fingerprints: ca === undefined ? fingerprints : undefined,
  }
}

function readImage(text: string): ReturnType<typeof parsePulledImage> {
  return checked('--image', text, parsePulledImage)
}

function loginOf(options: Given['options']): Login | undefined {
  const login = readLogin(options)
  if (login !== undefined && (login.username === '' || login.username.includes(':'))) {
    throw new UsageError('--username takes a name without colons')
  }
  return login
}
