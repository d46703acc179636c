/**
 * The one importer of the library: sendfile(2), from a file to a socket without a copy in this process.
 * Optional everywhere: reading and writing takes about twice the CPU, and gives the same bytes.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { getSystemErrorName } from 'node:util'
import type * as Koffi from 'koffi'

export interface Sendfile {
  /**
   * Works in the thread pool, as a page that is not in memory would block the loop.
   * @param socket a descriptor that is the socket's at this moment; it may be closed at any time after
   * @param file must stay open until this has settled
   * @returns bytes that the socket has taken; 0 when it is full, or at the end of the file
   * @throws {Error} with the `code` of the system
   */
  send(socket: number, file: number, position: number, length: number): Promise<number>
}

export type SendfileOrReason =
  | { readonly sendfile: Sendfile }
  /** Why there is none, for the log. */
  | { readonly sendfile: undefined; readonly reason: string }

/** Loads the native part and tries it out; whatever is wrong with it, there is none. */
export async function openSendfile(isEnabled: boolean): Promise<SendfileOrReason> {
  if (!isEnabled) return { sendfile: undefined, reason: 'it is switched off' }
  if (process.platform !== 'linux') return { sendfile: undefined, reason: 'this is not Linux' }
  try {
    const system = bindSystem((await import('koffi')).default)
    const sendfile = createSendfile(system)
    await check(sendfile, system)
    return { sendfile }
  } catch (error) {
    return { sendfile: undefined, reason: error instanceof Error ? error.message : String(error) }
  }
}

interface System {
  sendfile(socket: number, file: number, position: number, length: number): Promise<number>
  /** Another descriptor of the same, which only who asked for it closes. */
  duplicate(descriptor: number): number
  /** Two ends that do not block. */
  socketPair(): readonly [number, number]
}

/** Numbers of Linux on every processor that Node runs on. */
const F_DUPFD_CLOEXEC = 1030
const AF_UNIX = 1
const SOCK_STREAM = 1
const SOCK_NONBLOCK = 0o4000
const SOCK_CLOEXEC = 0o2000000
/** A descriptor below it would be one of the three that have a meaning. */
const FIRST_DESCRIPTOR = 3

/** @throws where the library or a function is missing, or an offset in a file has not 64 bits */
function bindSystem(koffi: typeof Koffi.default): System {
  if (koffi.sizeof('long') !== 8) throw new Error('offsets in files are not of 64 bits here')
  const library = koffi.load(null)
  const sendfile = library.func('long sendfile(int, int, _In_ long *, size_t)') as Koffi.KoffiFunc<
    (socket: number, file: number, position: readonly [number], length: number) => number
  >
  const fcntl = library.func('int fcntl(int, int, ...)') as Koffi.KoffiFunc<
    (descriptor: number, command: number, type: 'int', argument: number) => number
  >
  const socketpair = library.func('int socketpair(int, int, int, _Out_ int *)') as Koffi.KoffiFunc<
    (family: number, type: number, protocol: number, ends: [number, number]) => number
  >
  /** Only right after the call, or at the beginning of its callback. */
  const orThrow = (result: number, call: string): number => {
    if (result >= 0) return result
    const code = getSystemErrorName(-koffi.errno())
    throw Object.assign(new Error(`${call} failed with ${code}`), { code })
  }
  return {
    sendfile: (socket, file, position, length) =>
      new Promise((resolve, reject) => {
        sendfile.async(socket, file, [position], length, (failure: Error | null, sent: number) => {
          try {
            if (failure !== null) throw failure
            resolve(orThrow(sent, 'sendfile'))
          } catch (error) {
            reject(error)
          }
        })
      }),
    duplicate: (descriptor) =>
      orThrow(fcntl(descriptor, F_DUPFD_CLOEXEC, 'int', FIRST_DESCRIPTOR), 'fcntl'),
    socketPair() {
      const ends: [number, number] = [-1, -1]
      const type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC
      orThrow(socketpair(AF_UNIX, type, 0, ends), 'socketpair')
      return ends
    },
  }
}

/** Threads of the pool of libuv, as it takes their number. */
const THREADS = Number.parseInt(process.env['UV_THREADPOOL_SIZE'] ?? '', 10) || 4
/** Calls at a time: one thread remains for files, names and hashes, however slow the disk is. */
const MOST_AT_ONCE = Math.min(3, Math.max(1, THREADS - 1))

function createSendfile(system: System): Sendfile {
  const waiting: (() => void)[] = []
  let running = 0

  async function enter(): Promise<void> {
    if (running < MOST_AT_ONCE) running += 1
    else await new Promise<void>((resolve) => waiting.push(resolve))
  }

  function leave(): void {
    const next = waiting.shift()
    if (next) next()
    else running -= 1
  }

  return {
    async send(socket, file, position, length) {
      // When the socket is closed its number may come to mean another client's, while a thread uses it
      // or before one does. A duplicate, made and closed in half a microsecond, means the same for ever.
      const own = system.duplicate(socket)
      try {
        await enter()
        try {
          return await system.sendfile(own, file, position, length)
        } finally {
          leave()
        }
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (code === 'EAGAIN' || code === 'EINTR') return 0
        throw error
      } finally {
        closeSync(own)
      }
    },
  }
}

/** Bytes that are sent to try it out, and most calls until a socket without a reader is full. */
const CHECKED = 1000
const MOST_UNTIL_FULL = 100_000

/**
 * Sends a part of this very file, and looks at what has come; then goes on until nothing fits.
 * @throws where it does not work
 */
async function check(sendfile: Sendfile, system: System): Promise<void> {
  const file = openSync(fileURLToPath(import.meta.url), 'r')
  const [socket, other] = system.socketPair()
  try {
    const expected = Buffer.alloc(CHECKED)
    const received = Buffer.alloc(CHECKED + 1)
    const sent = await sendfile.send(socket, file, 1, CHECKED)
    const isRight =
      readSync(file, expected, 0, CHECKED, 1) === sent &&
      readSync(other, received) === sent &&
      received.subarray(0, sent).equals(expected.subarray(0, sent))
    if (sent === 0 || !isRight) throw new Error('it sends other bytes than those of the file')
    for (let calls = 0; (await sendfile.send(socket, file, 0, CHECKED)) > 0; calls += 1) {
      if (calls === MOST_UNTIL_FULL) throw new Error('it does not say when a socket is full')
    }
  } finally {
    closeSync(socket)
    closeSync(other)
    closeSync(file)
  }
}
