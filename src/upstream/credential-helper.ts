/**
 * Programs that keep credentials: `docker-credential-<name> get` reads a server on its input and
 * writes what it has for it. https://github.com/docker/docker-credential-helpers
 */
import { spawn, type ChildProcess } from 'node:child_process'
import type { Identity } from './credential.ts'
import { UpstreamError } from './upstream.ts'

/**
 * @param name of the program, behind `docker-credential-`
 * @param server as the program knows it: a host, or the URL of Docker Hub
 * @returns `undefined` when the program has nothing for this server
 * @throws {UpstreamError} unavailable, blaming the account; nothing that the program wrote is in it
 */
export type AskHelper = (
  name: string,
  server: string,
  signal: AbortSignal,
) => Promise<Identity | undefined>

/** Milliseconds; a helper may ask its cloud, which answers in one or two seconds. */
const DEADLINE = 10_000
const OUTPUT_MAX_BYTES = 64 * 1024
const HELPER_NAME = /^[a-z0-9][a-z0-9._-]*$/
/** What the client library of the helpers compares with to tell "has none" from "failed". */
const NOT_FOUND = 'credentials not found in native keychain'
/** The user name that marks the secret as an identity token. */
const IDENTITY_TOKEN = '<token>'
/** Under which Docker Hub is known to every helper, whatever its API host. */
const DOCKER_HUB = 'https://index.docker.io/v1/'
const DOCKER_HUB_HOSTS = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io'])

/** Of our environment a helper sees what tells it where its cloud, its files and its proxy are. */
const PASSED_ON = /^(?:PATH|HOME|(?:AWS|GOOGLE|AZURE|CLOUDSDK|DOCKER|XDG)_.*)$/
const PROXY = /^(?:https?|no)_proxy$/i

export function isHelperName(name: string): boolean {
  return HELPER_NAME.test(name)
}

/** The name under which `docker login` keeps what belongs to this endpoint. */
export function helperServer(endpoint: URL): string {
  return DOCKER_HUB_HOSTS.has(endpoint.host) ? DOCKER_HUB : endpoint.host
}

export function createAskHelper(deadline = DEADLINE): AskHelper {
  return async function askHelper(name, server, signal) {
    const program = `docker-credential-${name}`
    const { code, output } = await run(program, server, deadline, signal)
    if (code === 0) return readAnswer(program, server, output)
    if (output.trim() === NOT_FOUND) return undefined
    throw failed(program, `ended with ${code ?? 'a signal'}`, server)
  }
}

interface Ended {
  /** `undefined`: ended by a signal. */
  readonly code: number | undefined
  readonly output: string
}

/** Never throws anything that the program wrote: it may hold secrets. */
function run(
  program: string,
  server: string,
  deadline: number,
  signal: AbortSignal,
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const child = start(program)
    child.on('error', (error: NodeJS.ErrnoException) => reject(notStarted(program, error)))
    // Where no process came about, its pipes may be missing too.
    if (child.pid === undefined) return
    const chunks: Buffer[] = []
    let size = 0

    const timer = setTimeout(() => {
      giveUp(failed(program, `gave no answer in ${deadline} ms`, server))
    }, deadline)
    const onAbort = (): void => giveUp(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })

    child.stdin.on('error', () => undefined)
    child.stdin.end(`${server}\n`)
    child.stdout.on('error', () => undefined)
    child.stdout.on('data', (chunk: Buffer) => {
      size += chunk.byteLength
      if (size > OUTPUT_MAX_BYTES) {
        giveUp(failed(program, `wrote more than ${OUTPUT_MAX_BYTES} bytes`, server))
      } else {
        chunks.push(chunk)
      }
    })
    child.on('close', (code) => {
      release()
      resolve({ code: code ?? undefined, output: Buffer.concat(chunks).toString('utf8') })
    })

    function giveUp(error: Error): void {
      release()
      killGroup(child)
      child.stdin.destroy()
      child.stdout.destroy()
      reject(error)
    }

    function release(): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
    }
  })
}

function start(program: string) {
  try {
    // A group of its own, because a script's children would outlive it and hold its output open.
    return spawn(program, ['get'], {
      env: passedOn(process.env),
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true,
    })
  } catch (error) {
    throw notStarted(program, error as NodeJS.ErrnoException)
  }
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended already.
  }
}

function passedOn(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(environment).filter(([name]) => PASSED_ON.test(name) || PROXY.test(name)),
  )
}

function readAnswer(program: string, server: string, output: string): Identity {
  const { Username: username, Secret: secret } = parseJsonObject(output)
  if (typeof username !== 'string' || typeof secret !== 'string' || secret === '') {
    throw failed(program, 'wrote something that is no credential', server)
  }
  if (username === IDENTITY_TOKEN) return { identityToken: secret }
  if (username.includes(':')) throw failed(program, 'gave a user name with a colon', server)
  return { username, password: secret }
}

function parseJsonObject(text: string): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(text)
    return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : {}
  } catch {
    // The error would quote the text, which may hold a secret.
    return {}
  }
}

function notStarted(program: string, { code = 'unknown error' }: NodeJS.ErrnoException) {
  const why =
    code === 'ENOENT'
      ? 'is not on the PATH of this mirror; install it there, or remove it from "credentials"'
      : `could not be started (${code}); look at its mode and owner`
  return unavailable(`${program} ${why}.`)
}

function failed(program: string, what: string, server: string): UpstreamError {
  return unavailable(
    `${program} ${what}. To see why, run as the user of this mirror: echo ${server} | ${program} get`,
  )
}

function unavailable(message: string): UpstreamError {
  return new UpstreamError('unavailable', message, { blames: 'account' })
}
