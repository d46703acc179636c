/** Thousands of clients that take their time cost the mirror little memory, and the others no service. */
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { expect, it } from 'vitest'
import { buildImage } from '../fakes/images.ts'
import { startRegistry } from '../fakes/registry.ts'
import { buildProgram, FIRST_ADMIN } from '../scenarios/program.ts'
import { download } from '../support/client.ts'
import { mirrorYaml } from '../support/mirror-config.ts'
import { pull } from '../support/pull.ts'
import { until } from '../support/until.ts'
import { startClientProcess } from './client-process.ts'
import { processWith, statusOf } from './process-status.ts'

const MIB = 1024 * 1024
const HEADS = 5000
const READERS = 1000
const LARGE = 256 * MIB
const MOST_RESIDENT = 300_000_000
const OTHER_PULLS = 20
const IDLE_MS = 30_000
/** See slow-clients.mjs. */
interface SlowClients {
  readonly headsOpen: number
  readonly mostHeadsOpen: number
  readonly headsRefused: number
  readonly readersServed: number
  readonly readersCut: number
  readonly bytesRead: number
}

it(`${HEADS} unfinished heads and ${READERS} slow readers`, async () => {
  await using build = await buildProgram()
  await using registry = await startRegistry()
  const large = buildImage({ seed: 'large', layers: [LARGE] })
  registry.push('library/large', 'v1', large)
  const others = Array.from({ length: OTHER_PULLS }, (_, number) => {
    const image = buildImage({ seed: `other-${number}`, layers: [MIB, 100_000] })
    registry.push(`library/other-${number}`, 'v1', image)
    return { name: `docker.io/library/other-${number}`, digest: image.digest }
  })
  await using folder = await openFolder()
  const settings = {
    upstreams: { 'docker.io': registry },
    yaml: { listen: `unix:${folder.socket}` },
  }
  await writeFile(folder.config, mirrorYaml(settings, folder.data))
  await using program = build.start({ args: ['serve', '--config', folder.config] })
  await program.ready()
  await using door = await openDoor(folder.socket)
  const { url } = door
  const mirror = await processWith(folder.config)

  const digest = large.blobs.at(-1)?.digest ?? ''
  const path = `/v2/docker.io/library/large/blobs/${digest}`
  const args = [folder.socket, path, String(HEADS), String(READERS)]
  await using clients = startClientProcess<SlowClients>('slow-clients.mjs', args)
  const areHere = (): boolean => {
    const { mostHeadsOpen = 0, readersServed = 0 } = clients.latest ?? {}
    return mostHeadsOpen >= HEADS * 0.9 && readersServed === READERS
  }
  await until(areHere, { deadlineMs: 2 * IDLE_MS, what: 'all slow clients are there' }).catch(
    (cause: unknown) => {
      throw new Error(`The clients say ${JSON.stringify(clients.latest)}.`, { cause })
    },
  )

  for (const other of others) {
    expect((await pull(url, other.name, 'v1', { idleMs: IDLE_MS })).digest).toBe(other.digest)
  }
  expect(await download({ url, path, idleMs: IDLE_MS })).toMatchObject({ digest, complete: true })
  // Who never ends the head of a request is told to go, and may come again.
  const areRefused = (): boolean => (clients.latest?.headsRefused ?? 0) >= HEADS
  await until(areRefused, { deadlineMs: 2 * IDLE_MS, what: 'unfinished heads are refused' })

  const { mostResident, openFiles } = await statusOf(mirror)
  process.stdout.write(
    `slow clients: ${JSON.stringify({ ...clients.latest, mostResident, openFiles })}\n`,
  )
  expect(clients.latest).toMatchObject({ readersServed: READERS, readersCut: 0 })
  expect(mostResident).toBeLessThan(MOST_RESIDENT)
  expect((await pull(url, 'docker.io/library/other-0', 'v1', { idleMs: IDLE_MS })).digest).toBe(
    others[0]?.digest,
  )
  expect(program.errors.replace(FIRST_ADMIN, '')).toBe('')
})

async function openFolder(): Promise<
  AsyncDisposable & { readonly data: string; readonly config: string; readonly socket: string }
> {
  const folder = await mkdtemp(join(tmpdir(), 'entrepot-slow-'))
  return {
    data: join(folder, 'data'),
    config: join(folder, 'mirrors.yml'),
    socket: join(folder, 'mirror.sock'),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

/**
 * A port that leads to the socket file. The mirror does not listen on loopback itself: a packet there
 * is 64 KiB, so the kernel would keep megabytes for each slow reader, run out of memory for TCP, and
 * cut connections of everybody on this machine.
 */
async function openDoor(socketFile: string): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer((outer) => {
    const inner = connect(socketFile)
    pipeline(outer, inner, outer).catch(() => undefined)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.close()
      await once(server, 'close')
    },
  }
}
