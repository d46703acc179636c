/** Mixed load for an hour, or a minute: memory and open files stay where they are. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setInterval as everySoOften } from 'node:timers/promises'
import { expect, it } from 'vitest'
import type { FaultRule } from '../fakes/faults.ts'
import { buildImage } from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { buildProgram, FIRST_ADMIN } from '../scenarios/program.ts'
import { mirrorYaml } from '../support/mirror-config.ts'
import { type Chance, LONG, openChance } from './chance.ts'
import { startClientProcess } from './client-process.ts'
import { type ProcessStatus, processWith, statusOf } from './process-status.ts'

const KIB = 1024
const MIB = 1024 * KIB
const MINUTE = 60_000
const DURATION = LONG ? 60 * MINUTE : MINUTE
const SAMPLES = 240
const CLIENTS = 8
const IMAGES = 40
/** About half of all images: something is downloaded and evicted all the time. */
const BUDGET = '60MiB'
/**
 * What may lie between the second and the last quarter without being a leak. In a minute the heap has
 * not grown to its size yet, so there only what grows fast is found.
 */
const RESIDENT_NOISE = (LONG ? 24 : 64) * MIB
/** What the mirror may take under any load. */
const MOST_RESIDENT = 300 * MIB
const OPEN_FILES_NOISE = 24
/** At so many of the samples, upstream does something wrong once. */
const FAULTY = 0.3

/** Lines of the log that tell of a mirror that has ended. */
const TOLD = 20

/** See mixed-load.mjs. */
interface MixedLoad {
  readonly answers: number
  readonly bytes: number
  readonly failed: number
  readonly left: number
  readonly refused: number
  readonly wrong: readonly string[]
}

it(
  `memory and open files are flat for ${DURATION / MINUTE} min`,
  async () => {
    const chance = openChance('soak')
    await using build = await buildProgram()
    await using registry = await startRegistry()
    await using folder = await openFolder()
    const settings = {
      upstreams: { 'docker.io': { registry, tagTtl: '1s' } },
      yaml: { budget: BUDGET },
      deny: ['docker.io/forbidden/**'],
    }
    await writeFile(folder.config, mirrorYaml(settings, folder.data))
    await writeFile(folder.images, JSON.stringify(offerImages(registry, chance)))
    await using program = build.start({ args: ['serve', '--config', folder.config] })
    const { url } = await program.ready()
    const mirror = await processWith(folder.config)
    const args = [url, folder.images, String(CLIENTS)]
    await using load = startClientProcess<MixedLoad>('mixed-load.mjs', args)

    const samples: ProcessStatus[] = []
    for await (const _ of everySoOften(DURATION / SAMPLES)) {
      const status = await statusOf(mirror).catch((cause: unknown) => {
        const log = program.log.slice(-TOLD).map((line) => JSON.stringify(line))
        throw new Error(`The mirror is gone. ${program.errors}${log.join('\n')}`, { cause })
      })
      samples.push(status)
      if (chance.next() < FAULTY) registry.fault({ ...chance.oneOf(FAULTS), times: 1 })
      if (samples.length === SAMPLES) break
    }
    const settled = quarter(samples, 1)
    const last = quarter(samples, 3)
    process.stdout.write(`soak: ${JSON.stringify({ settled, last, ...load.latest })}\n`)

    expect(load.latest?.wrong).toEqual([])
    expect(load.latest?.answers).toBeGreaterThan(1000)
    expect(last.resident - settled.resident).toBeLessThan(RESIDENT_NOISE)
    expect(last.resident).toBeLessThan(MOST_RESIDENT)
    expect(last.openFiles - settled.openFiles).toBeLessThan(OPEN_FILES_NOISE)
    expect(program.errors.replace(FIRST_ADMIN, '')).toBe('')
  },
  DURATION + 2 * MINUTE,
)

const FAULTS: readonly FaultRule[] = [
  { match: { kind: 'blob' }, cutAfter: 50_000 },
  { match: { kind: 'blob' }, cutAfter: 50_000, resetConnection: true },
  { match: { kind: 'blob' }, wrongByteAt: 100 },
  { match: { kind: 'blob' }, bytesPerSecond: 500_000 },
  { match: { kind: 'blob' }, ignoreRange: true, noLength: 'chunked' },
  { match: { kind: 'manifest' }, html200: true },
  { match: { kind: 'manifest' }, resetConnection: true },
]

function offerImages(registry: FakeRegistry, chance: Chance): unknown[] {
  return Array.from({ length: IMAGES }, (_, number) => {
    const layers = [20 * KIB, 4 * MIB].map((most) => chance.between(10 * KIB, most))
    const image = buildImage({ seed: `${chance.seed}/${number}`, layers })
    registry.push(`library/image-${number}`, 'v1', image)
    const blobs = image.blobs.map(({ digest, bytes }) => ({ digest, size: bytes.length }))
    return { name: `docker.io/library/image-${number}`, tag: 'v1', digest: image.digest, blobs }
  })
}

/** Medians of a quarter of the samples; 0 is the first quarter. */
function quarter(
  samples: readonly ProcessStatus[],
  number: number,
): Pick<ProcessStatus, 'resident' | 'openFiles'> {
  const length = samples.length / 4
  const part = samples.slice(number * length, (number + 1) * length)
  return {
    resident: median(part.map(({ resident }) => resident)),
    openFiles: median(part.map(({ openFiles }) => openFiles)),
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0
}

async function openFolder(): Promise<
  AsyncDisposable & { readonly data: string; readonly config: string; readonly images: string }
> {
  const folder = await mkdtemp(join(tmpdir(), 'entrepot-soak-'))
  return {
    data: join(folder, 'data'),
    config: join(folder, 'mirrors.yml'),
    images: join(folder, 'images.json'),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}
