// @ts-check
/**
 * Sockets of Linux without libuv between: a client that drops bodies unread in the kernel
 * (MSG_TRUNC of tcp(7)) is never what limits a server. Blocks the thread, which does nothing else.
 */
import { arch, platform } from 'node:process'

const AF_INET = 2
const SOCK_STREAM = 1
const IPPROTO_TCP = 6
const TCP_NODELAY = 1
const MSG_TRUNC = 0x20
const MSG_NOSIGNAL = 0x4000
const MSG_DONTWAIT = 0x40
const EPOLLIN = 1
const EPOLL_CTL_ADD = 1
const EPOLL_CTL_DEL = 2
const EAGAIN = 11
/** epoll_event is packed on x86-64 only. */
const [EVENT_SIZE, DATA_OFFSET] = arch === 'x64' ? [12, 4] : [16, 8]
const EVENTS = 256

/** @typedef {NonNullable<Awaited<ReturnType<typeof openEpoll>>>} Epoll */

/** @returns what follows, or nothing where it cannot be had */
export async function openEpoll() {
  if (platform !== 'linux') return undefined
  const koffi = await import('koffi').then(
    (module) => module.default,
    () => undefined,
  )
  if (koffi === undefined) return undefined
  const libc = koffi.load(null)
  const socket = libc.func('int socket(int, int, int)')
  const connect = libc.func('int connect(int, void *, uint32_t)')
  const setsockopt = libc.func('int setsockopt(int, int, int, void *, uint32_t)')
  const recv = libc.func('int64_t recv(int, void *, size_t, int)')
  const send = libc.func('int64_t send(int, void *, size_t, int)')
  const close = libc.func('int close(int)')
  const epollCreate = libc.func('int epoll_create1(int)')
  const epollControl = libc.func('int epoll_ctl(int, int, int, void *)')
  const epollWait = libc.func('int epoll_wait(int, void *, int, int)')

  const poll = checked('epoll_create1', epollCreate(0))
  const events = Buffer.alloc(EVENT_SIZE * EVENTS)
  const control = Buffer.alloc(EVENT_SIZE)
  const nowhere = Buffer.alloc(1)

  /**
   * @param {string} call
   * @param {number} result
   */
  function checked(call, result) {
    if (result < 0) throw new Error(`${call} failed with errno ${koffi?.errno()}.`)
    return result
  }

  /**
   * @param {number} result
   * @returns {number} bytes; 0 at the end or when the connection is broken, -1 when there is nothing yet
   */
  function received(result) {
    return result >= 0 ? result : koffi?.errno() === EAGAIN ? -1 : 0
  }

  return {
    /**
     * @param {string} address of IPv4
     * @param {number} port
     * @returns {number} a connected socket that is waited for
     */
    connect(address, port) {
      const name = Buffer.alloc(16)
      name.writeUInt16LE(AF_INET, 0)
      name.writeUInt16BE(port, 2)
      name.set(address.split('.').map(Number), 4)
      const fd = checked('socket', socket(AF_INET, SOCK_STREAM, 0))
      checked('connect', connect(fd, name, name.length))
      const on = Buffer.from(Int32Array.of(1).buffer)
      checked('setsockopt', setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, on, on.length))
      control.writeUInt32LE(EPOLLIN, 0)
      control.writeInt32LE(fd, DATA_OFFSET)
      checked('epoll_ctl', epollControl(poll, EPOLL_CTL_ADD, fd, control))
      return fd
    },
    /**
     * A question is far smaller than any socket's buffer, so it goes at once or never.
     * @param {number} fd
     * @param {Buffer} bytes
     * @returns {boolean} whether it went
     */
    send: (fd, bytes) => send(fd, bytes, bytes.length, MSG_NOSIGNAL) === bytes.length,
    /**
     * @param {number} fd
     * @param {Buffer} buffer
     */
    read: (fd, buffer) => received(recv(fd, buffer, buffer.length, MSG_DONTWAIT)),
    /**
     * @param {number} fd
     * @param {number} most bytes
     */
    drop: (fd, most) => received(recv(fd, nowhere, most, MSG_TRUNC | MSG_DONTWAIT)),
    /**
     * @param {number} milliseconds
     * @param {(fd: number) => void} readable called for each socket that has something
     */
    wait(milliseconds, readable) {
      const count = epollWait(poll, events, EVENTS, Math.max(0, Math.ceil(milliseconds)))
      for (let at = 0; at < count; at += 1) {
        readable(events.readInt32LE(at * EVENT_SIZE + DATA_OFFSET))
      }
    },
    /** @param {number} fd */
    close(fd) {
      epollControl(poll, EPOLL_CTL_DEL, fd, control)
      close(fd)
    },
  }
}
