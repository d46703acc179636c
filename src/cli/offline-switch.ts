/** A file in the data folder that takes a mirror offline: a command sets it, the running mirror sees it. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const NOTE =
  'While this file is here the mirror connects to no upstream: see "entrepot offline --help".\n'

/** Milliseconds between two looks. */
const LOOK_INTERVAL = 1000

export function isSwitchedOffline(data: string): boolean {
  return existsSync(switchFile(data))
}

export function switchOffline(data: string): void {
  mkdirSync(data, { recursive: true, mode: 0o700 })
  writeFileSync(switchFile(data), NOTE)
}

export function switchOnline(data: string): void {
  rmSync(switchFile(data), { force: true })
}

/**
 * Tells when the switch is no longer where it was. It is looked at rather than watched: network
 * filesystems send no events, and a folder that is not there yet cannot be watched.
 * @param known where it was when the caller last looked
 */
export function watchSwitch(
  data: string,
  known: boolean,
  onChange: (offline: boolean) => void,
): { close(): void } {
  let last = known
  const timer = setInterval(() => {
    const offline = isSwitchedOffline(data)
    if (offline === last) return
    last = offline
    onChange(offline)
  }, LOOK_INTERVAL)
  timer.unref()
  return { close: () => clearInterval(timer) }
}

function switchFile(data: string): string {
  return join(data, 'offline')
}
