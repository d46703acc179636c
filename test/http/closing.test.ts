/** A server that closes does not wait for ever, whoever is connected. */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import {
  connect,
  createServer as createSocketServer,
  type AddressInfo,
  type Socket,
} from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import type { createRoutes } from '../../src/http/routes.ts'
import { createServer, type MirrorServer } from '../../src/http/server.ts'
import { createCertificateAuthority } from '../fakes/certificates.ts'
import { until, within } from '../support/until.ts'

/** Nobody gets as far. */
const ROUTES = { fetch: () => new Response() } as unknown as ReturnType<typeof createRoutes>

const WAYS = {
  'of its own': async (server: MirrorServer) => {
    const url = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
    return Number(new URL(url).port)
  },
  'that it was handed': async (server: MirrorServer) => {
    const door = createSocketServer({ pauseOnConnect: true }, (socket) => server.accept(socket))
    onTestFinished(() => void door.close())
    door.listen(0, '127.0.0.1')
    await once(door, 'listening')
    return (door.address() as AddressInfo).port
  },
}

it.each(['of its own', 'that it was handed'] as const)(
  'for a connection %s that never shakes hands',
  async (way) => {
    await using authority = await createCertificateAuthority()
    const { certificateFile, keyFile } = await authority.issue()
    const certificate = await readFile(certificateFile, 'utf8')
    const server = createServer(ROUTES, [{ certificate, key: await readFile(keyFile, 'utf8') }])
    const port = await WAYS[way](server)
    const client = await connected(port)

    const closing = server.close(100)

    await within(closing, { deadlineMs: 5000 })
    expect(await until(() => client.destroyed)).toBe(true)
  },
)

it('without a connection at once, also where it was never bound', async () => {
  const closing = createServer(ROUTES, []).close(60_000)
  expect(await within(closing, { deadlineMs: 5000 })).toBeUndefined()
})

async function connected(port: number): Promise<Socket> {
  const client = connect(port, '127.0.0.1').on('error', () => undefined)
  onTestFinished(() => void client.destroy())
  await once(client, 'connect')
  return client.resume()
}
