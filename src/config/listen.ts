import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { InvalidValue } from './problem.ts'
import type { Listen } from './schema.ts'

/** What the kernel keeps of a socket's path: 108 bytes with the closing NUL (unix(7)). */
const SOCKET_PATH_MAX_BYTES = 107
const HOST_NAME = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/i

/** As FileDescriptorName= of systemd.socket(5) has it, without what needs quoting somewhere. */
const SOCKET_NAME = /^[\w.@-]{1,255}$/

/**
 * `127.0.0.1:5000`, `[::1]:5000`, `localhost:5000`, `unix:<path>`, or `systemd` or `systemd:<name>` for a socket
 * that systemd opens. Port 0 takes a free one.
 * @param folder what a relative socket path is relative to
 * @throws {InvalidValue}
 */
export function parseListen(text: string, folder: string): Listen {
  if (text === 'systemd') return { kind: 'systemd', name: undefined }
  if (text.startsWith('systemd:')) return { kind: 'systemd', name: socketName(text.slice(8)) }
  if (text.startsWith('unix:')) return { kind: 'unix', path: socketPath(text.slice(5), folder) }
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? []
  const host = bracketed ?? plain
  if (host === undefined || port === undefined || Number(port) > 65_535) throw malformed()
  if (host === '' || host === '*') {
    throw new InvalidValue(
      `does not say on which address; write 0.0.0.0:${port} for every address of this machine, 127.0.0.1:${port} for itself only`,
    )
  }
  if (bracketed === undefined ? !isHost(host) : isIP(host) !== 6) throw malformed()
  return { kind: 'tcp', host, port: Number(port) }
}

/**
 * `same`, `off`, or an address as `parseListen` takes it.
 * @param listen where the registry answers; `undefined` when that is wrong, so that nothing can be said against it
 * @throws {InvalidValue}
 */
export function parseApi(
  text: string,
  folder: string,
  listen: Listen | undefined,
): 'same' | 'off' | Listen {
  if (text === 'same' || text === 'off') return text
  if (!text.includes(':') && text !== 'systemd') {
    throw new InvalidValue(
      'is neither same nor off nor an address; write for example 127.0.0.1:5001 or unix:<path>',
    )
  }
  const address = parseListen(text, folder)
  if (listen !== undefined && overlaps(address, listen)) {
    throw new InvalidValue('is taken by "listen"; write same, or an address of its own')
  }
  return address
}

/** Only one of them can be listened on. Port 0 is another one each time; without a name it is the only socket. */
function overlaps(a: Listen, b: Listen): boolean {
  if (a.kind === 'systemd' && b.kind === 'systemd') {
    return a.name === undefined || b.name === undefined || a.name === b.name
  }
  if (a.kind === 'systemd' || b.kind === 'systemd') return false
  if (a.kind === 'unix' || b.kind === 'unix') {
    return a.kind === 'unix' && b.kind === 'unix' && a.path === b.path
  }
  if (a.port !== b.port || a.port === 0) return false
  return a.host.toLowerCase() === b.host.toLowerCase() || holds(a, b) || holds(b, a)
}

/** Every address of the machine holds that of the other; `::` is for IPv4 too. */
function holds(wide: { readonly host: string }, other: { readonly host: string }): boolean {
  return wide.host === '::' || (wide.host === '0.0.0.0' && isIP(other.host) !== 6)
}

/** Digits and dots that are no IPv4 address are a slip, not a name. */
function isHost(host: string): boolean {
  return HOST_NAME.test(host) && (isIP(host) === 4 || !/^[0-9.]+$/.test(host))
}

function socketName(text: string): string {
  if (SOCKET_NAME.test(text)) return text
  throw new InvalidValue(
    'is no name of a socket; write systemd:<name> with the FileDescriptorName of the socket unit',
  )
}

function socketPath(text: string, folder: string): string {
  if (text === '') throw malformed()
  const path = resolve(folder, text)
  if (Buffer.byteLength(path) > SOCKET_PATH_MAX_BYTES) {
    throw new InvalidValue(
      `is too long for a Unix socket: with its folder it may have ${SOCKET_PATH_MAX_BYTES} bytes`,
    )
  }
  return path
}

function malformed(): InvalidValue {
  return new InvalidValue(
    'is no address to listen on; write host:port, for example 127.0.0.1:5000 or [::1]:5000, or unix:<path>',
  )
}
