/**
 * What systemd is told of this process, where it asks: sd_notify(3). It wants datagrams on a Unix socket, which
 * Node has not, so systemd's own program sends them.
 */
import { execFile } from 'node:child_process'
import type { Log } from './log.ts'

export interface ServiceManager {
  /** @param state assignments such as `READY=1`; what was said before arrives before it */
  tell(...state: readonly string[]): void
  /** Resolves when all has arrived, or could not. */
  idle(): Promise<void>
}

/** Milliseconds. */
const TOLD_WITHIN = 5000

/** @param env without NOTIFY_SOCKET nobody asks, and nothing is started */
export function createServiceManager(env: NodeJS.ProcessEnv, log: Log): ServiceManager {
  let last = Promise.resolve()
  return {
    tell(...state) {
      if (env['NOTIFY_SOCKET'] === undefined) return
      last = last
        .then(() => notify(state, env))
        .then((reason) => {
          if (reason !== undefined) {
            log.warn({ state, reason }, 'systemd could not be told how the mirror is doing')
          }
        })
    },
    idle: () => last,
  }
}

/** @returns why it has not arrived */
function notify(state: readonly string[], env: NodeJS.ProcessEnv): Promise<string | undefined> {
  return new Promise((resolve) => {
    const options = { env, timeout: TOLD_WITHIN, killSignal: 'SIGKILL' } as const
    execFile('systemd-notify', state, options, (error, _stdout, stderr) => {
      resolve(error === null ? undefined : stderr.trim() || error.message)
    })
  })
}
