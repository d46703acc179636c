/** Where an upstream may send us, by a redirect or a realm, although nobody should go or stay there. */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { createCertificateAuthority } from '../../fakes/certificates.ts'
import { converse, type Step, wholeAnswer } from '../../fakes/raw-wire.ts'
import { type Sink, startSink } from '../../fakes/sink.ts'
import { until } from '../../support/until.ts'

/** Its disposal fails when somebody is still connected. */
export interface BadPlaces extends AsyncDisposable {
  /** PEM file of the authority that upstreams are to trust. */
  readonly caFile: string
  /** URLs of servers of which each has a fault. */
  readonly urls: Readonly<Record<PlaceName, string>>
  /** Pinned as realms, so that they would be talked to if nothing were wrong with them. */
  readonly pinned: readonly string[]
  /** What came to places that nothing may be sent to; each is empty. */
  forbidden(): Readonly<Record<string, string>>
  /** What came to the server of another host, which may be asked, but not told who we are. */
  stranger(): string
}

export type PlaceName =
  | 'wrongAuthority'
  | 'wrongName'
  | 'expired'
  | 'breaksHandshake'
  | 'silent'
  | 'refuses'
  | 'unresolvable'
  | 'downgrades'
  | 'unpinned'
  | 'private'
  | 'stranger'

export async function startBadPlaces(): Promise<BadPlaces> {
  const authority = await createCertificateAuthority()
  const other = await createCertificateAuthority()
  const tls = {
    wrongAuthority: await startSink({ tls: await other.issue() }),
    wrongName: await startSink({ tls: await authority.issue(['DNS:elsewhere.example']) }),
    expired: await startSink({ tls: await authority.issue(undefined, -1) }),
  }
  const sinks = {
    plain: await startSink(),
    unpinned: await startSink(),
    // Outside of the one network that upstreams may be in.
    private: await startSink({ address: '127.0.0.2' }),
  }
  const stranger = await startSink()
  const { certificate, key } = await authority.issue()
  const downgrading = createTlsServer({ cert: certificate, key }, (socket) =>
    converse(socket, () => redirect(`${sinks.plain.url}/`)),
  )
  const servers = {
    breaksHandshake: await listen(
      createServer((socket) =>
        socket.on('error', () => undefined).once('data', () => socket.end()),
      ),
    ),
    silent: await listen(createServer((socket) => socket.on('error', () => undefined).resume())),
    downgrades: await listen(downgrading),
  }
  const refusing = await startSink()
  await refusing.close()
  const all: Sink[] = [...Object.values(tls), ...Object.values(sinks), stranger]
  const urls = {
    ...mapValues(tls, ({ url }) => url),
    unpinned: sinks.unpinned.url,
    private: sinks.private.url,
    stranger: stranger.url,
    breaksHandshake: `https://${servers.breaksHandshake.host}`,
    silent: `http://${servers.silent.host}`,
    downgrades: `https://${servers.downgrades.host}`,
    refuses: refusing.url,
    unresolvable: 'https://registry.invalid',
  }

  return {
    caFile: authority.caFile,
    urls,
    pinned: Object.entries(urls)
      .filter(([name]) => name !== 'unpinned' && name !== 'stranger')
      .map(([, url]) => new URL(url).host),
    forbidden: () => mapValues({ ...tls, ...sinks }, ({ received }) => received.toString('latin1')),
    stranger: () => stranger.received.toString('latin1'),
    async [Symbol.asyncDispose]() {
      await until(() => [...all, ...Object.values(servers)].every((server) => server.open === 0), {
        what: 'no connection to a bad place is left',
      })
      await Promise.all([...all, ...Object.values(servers)].map((server) => server.close()))
      await Promise.all([authority.close(), other.close()])
    },
  }
}

function redirect(location: string): Step[] {
  const headers = { location, 'content-length': '0' }
  return wholeAnswer({ status: 307, headers, body: new Uint8Array(0) }, 'GET')
}

function mapValues<K extends string, V, W>(
  record: Readonly<Record<K, V>>,
  map: (value: V) => W,
): Record<K, W> {
  const entries = Object.entries<V>(record).map(([key, value]) => [key, map(value)])
  return Object.fromEntries(entries) as Record<K, W>
}

async function listen(server: Server) {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    get open() {
      return sockets.size
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}
