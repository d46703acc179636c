/** Sockets that systemd, or a program that does as it does, opened before it started this process: sd_listen_fds(3). */
import { readFile, readlink } from 'node:fs/promises'

const FIRST_DESCRIPTOR = 3

/**
 * @param name its FileDescriptorName; `undefined`: there is one socket only
 * @returns its descriptor
 * @throws {Error} when this process was given no such socket
 */
export function inheritedSocket(
  name: string | undefined,
  env: NodeJS.ProcessEnv,
  pid: number,
): number {
  const names = socketNames(env, pid)
  if (names.length === 0) {
    throw new Error(
      'The mirror is told to listen on a socket of systemd, and was given none: start it by its socket unit, or let "listen" name an address.',
    )
  }
  if (name === undefined) {
    if (names.length === 1) return FIRST_DESCRIPTOR
    throw new Error(
      `systemd gives ${names.length} sockets, named ${names.join(', ')}: say which one, as in systemd:${names[0]}.`,
    )
  }
  const index = names.indexOf(name)
  if (index !== -1) return FIRST_DESCRIPTOR + index
  throw new Error(
    `systemd gives no socket named ${name}, but ${names.join(', ')}: FileDescriptorName in the socket unit is its name.`,
  )
}

/** The variables are inherited by whatever a process starts, its sockets are not. */
function socketNames(env: NodeJS.ProcessEnv, pid: number): string[] {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = env
  if (Number(LISTEN_PID) !== pid) return []
  const count = /^\d{1,3}$/.test(LISTEN_FDS ?? '') ? Number(LISTEN_FDS) : 0
  const names = LISTEN_FDNAMES?.split(':') ?? []
  return Array.from({ length: count }, (_, index) => names[index] ?? 'unknown')
}

/** The socket file that a descriptor listens on, as the kernel knows it; the descriptor where it tells none. */
export async function pathOfSocket(fd: number): Promise<string> {
  const [, inode] = /^socket:\[(\d+)\]$/.exec(await readlink(`/proc/self/fd/${fd}`)) ?? []
  const sockets = await readFile('/proc/self/net/unix', 'utf8')
  const line = sockets.split('\n').find((it) => it.split(/ +/)[6] === inode)
  return line?.split(/ +/).slice(7).join(' ') || `(descriptor ${fd})`
}
