/** The listeners of the configuration: one for everything, or one for the registry and one for operators. */
import type { Socket } from 'node:net'
import { createNetworkCheck } from './addresses.ts'
import type { Config, Listen } from './config/schema.ts'
import { createBuffers } from './http/buffers.ts'
import { createRequestObserver } from './http/access-log.ts'
import type { HttpDependencies } from './http/context.ts'
import { createRoutes } from './http/routes.ts'
import { createServer, type MirrorServer } from './http/server.ts'
import { createShortPath } from './http/short-path.ts'
import { openSendfile } from './sendfile.ts'

export interface Listeners {
  /** @returns the base URLs that were bound, `apiUrl` where it has a listener of its own */
  listen(): Promise<{ url: string; apiUrl: string | undefined }>
  /** For what is to come. @returns as `App.reload` */
  configure(config: Config): Promise<void> | undefined
  /** Resolves when everything that was noted where it listens is written. */
  idle(): Promise<void>
  /** @param grace milliseconds for running answers */
  close(grace: number): Promise<void>
}

export interface Servers extends Listeners {
  /** Serves a connection that another process has accepted; in place of `listen`. */
  accept(listener: 'main' | 'api', socket: Socket): void
}

type Surroundings = Pick<
  HttpDependencies,
  'mirror' | 'control' | 'metrics' | 'log' | 'logLevels' | 'tracing'
>

/** Prepared: they are bound by `listen`. */
export async function openServers(config: Config, surroundings: Surroundings): Promise<Servers> {
  const opened = await openSendfile(config.sendfile)
  if (opened.sendfile === undefined && config.sendfile) {
    surroundings.log.info({ reason: opened.reason }, 'files are sent by reading and writing')
  }
  return createServers(config, { ...surroundings, sendfile: opened.sendfile })
}

function createServers(
  config: Config,
  surroundings: Surroundings & Pick<HttpDependencies, 'sendfile'>,
): Servers {
  const { listen, api, tls, memory } = config
  let { publicUrl } = config
  let isTrustedProxy = trustOf(config.trustedProxies)
  const observe = createRequestObserver(surroundings)
  const settings = {
    publicUrl: () => publicUrl,
    isTrustedProxy: (address: string | undefined) => isTrustedProxy(address),
  }
  const shortPath = createShortPath({ ...surroundings, ...settings, observe, memory })
  const buffers = createBuffers()
  const dependencies = { ...surroundings, ...settings, buffers, observe, shortPath }
  const main = createServer(
    createRoutes(dependencies, { registry: true, api: api === 'same' }),
    tls,
    shortPath,
  )
  const own: { server: MirrorServer; address: Listen } | undefined =
    typeof api === 'string'
      ? undefined
      : {
          server: createServer(createRoutes(dependencies, { registry: false, api: true }), tls),
          address: api,
        }
  const all = own ? [main, own.server] : [main]
  return {
    async listen() {
      const url = await main.listen(listen)
      return { url, apiUrl: await own?.server.listen(own.address) }
    },
    accept(listener, socket) {
      const server = listener === 'api' ? own?.server : main
      if (server) server.accept(socket)
      else socket.destroy()
    },
    configure(changed) {
      for (const it of all) it.useCertificates(changed.tls)
      publicUrl = changed.publicUrl
      isTrustedProxy = trustOf(changed.trustedProxies)
      return undefined
    },
    // The rest of this process notes, and is asked for itself.
    idle: () => Promise.resolve(),
    async close(grace) {
      await Promise.all(all.map((it) => it.close(grace)))
    },
  }
}

/** Whoever comes by a socket file has no address. */
function trustOf(trusted: readonly string[]): (address: string | undefined) => boolean {
  const isNamed = createNetworkCheck(trusted.filter((it) => it !== 'unix'))
  return (address) => (address === undefined ? trusted.includes('unix') : isNamed(address))
}
