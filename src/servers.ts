/** The listeners of the configuration: one for everything, or one for the registry and one for operators. */
import type { Config, Listen } from './config/schema.ts'
import type { Certificate } from './http/certificates.ts'
import type { HttpDependencies } from './http/context.ts'
import { createRoutes } from './http/routes.ts'
import { createServer, type MirrorServer } from './http/server.ts'

export interface Servers {
  /** @returns the base URLs that were bound, `apiUrl` where it has a listener of its own */
  listen(): Promise<{ url: string; apiUrl: string | undefined }>
  /** For connections to come. */
  useCertificates(certificates: readonly Certificate[]): void
  /** @param grace milliseconds for running answers */
  close(grace: number): Promise<void>
}

export function createServers(config: Config, dependencies: HttpDependencies): Servers {
  const { listen, api, tls } = config
  const main = createServer(
    createRoutes(dependencies, { registry: true, api: api === 'same' }),
    tls,
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
    useCertificates: (certificates) => all.forEach((it) => it.useCertificates(certificates)),
    async close(grace) {
      await Promise.all(all.map((it) => it.close(grace)))
    },
  }
}
