/** A cell of the fault grid: faults in their phases, and how many clients pull meanwhile. */
import { buildImage, type FakeBlob, type FakeImage } from '../../fakes/images.ts'
import type { Misbehaviour, RawExchange } from '../../fakes/raw-registry.ts'
import { headText, type Step } from '../../fakes/raw-wire.ts'
import type { BadPlaces } from './bad-places.ts'
import type { Fault, Phase } from './fault.ts'

/** One fault of a cell. */
interface Trouble {
  readonly fault: Fault
  readonly phase: Phase
  /** Byte of the body at which it happens; where a blob is resumed, the end of what came before. */
  readonly at: number
  /** To how many requests it happens; Infinity: until it is mended. */
  readonly times: number
}

export interface Cell {
  readonly name: string
  /** Name of the upstream in the mirror: each cell has its own, so that none makes another wait. */
  readonly upstream: string
  readonly repository: string
  readonly image: FakeImage
  readonly layer: FakeBlob
  readonly clients: number
  readonly troubles: readonly Trouble[]
}

export const LAYER_BYTES = 300_000
const OF_BLOB: readonly Phase[] = ['blob start', 'mid-blob', 'blob end']
const MIDDLE = LAYER_BYTES / 2

/** Each phase of the fault among these, for one client and for a crowd. */
export function cellsOf(fault: Fault, phases: readonly Phase[], crowd: number): Cell[] {
  return fault.phases
    .filter((phase) => phases.includes(phase))
    .flatMap((phase) =>
      [1, crowd].map((clients) =>
        createCell(`${fault.name}/${phase}/${clients}`, clients, [
          { fault, phase, at: positionIn(phase), times: Infinity },
        ]),
      ),
    )
}

let cells = 0

export function createCell(name: string, clients: number, troubles: readonly Trouble[]): Cell {
  const image = buildImage({ seed: name, layers: [LAYER_BYTES] })
  const layer = image.blobs.at(-1)
  if (!layer) throw new Error('The image has no layer.')
  const number = (cells += 1)
  return {
    name,
    upstream: `cell${number}.test`,
    repository: `grid/cell${number}`,
    image,
    layer,
    clients,
    troubles,
  }
}

/** What clients of this cell do: resolve a tag, get a manifest, or get a layer. */
export function entryOf({ troubles }: Cell): 'head' | 'manifest' | 'blob' {
  const phases = troubles.map(({ phase }) => phase)
  if (phases.some((phase) => phase === 'token' || phase === 'head')) return 'head'
  return phases.includes('manifest') ? 'manifest' : 'blob'
}

export function reachesBlobs({ troubles }: Cell): boolean {
  return troubles.some(({ phase }) => OF_BLOB.includes(phase))
}

/** Whoever pulls must not notice anything. */
export function isHarmless({ troubles }: Cell): boolean {
  return troubles.every(({ fault, phase }) => fault.harmless?.includes(phase))
}

/** While the mirror runs it does not forget this trouble soon enough. */
export function needsRestart({ troubles }: Cell): boolean {
  return troubles.some(({ fault }) => fault.restart === true)
}

interface Misbehaving {
  readonly misbehaviour: Misbehaviour
  /** Whether any trouble of the cell has come about: else it would prove nothing. */
  readonly hasHappened: () => boolean
}

export function misbehaviourOf(
  { layer, troubles }: Cell,
  places: BadPlaces,
  revoke: () => void,
): Misbehaving {
  const happened = troubles.map(() => 0)
  const misbehaviour = (exchange: RawExchange): Iterable<Step> | undefined => {
    const index = troubles.findIndex(
      ({ fault, phase, times }, number) =>
        (happened[number] ?? 0) < times &&
        (exchange.authorized || fault.unauthorized === true) &&
        isIn(phase, exchange, layer),
    )
    const trouble = troubles[index]
    if (!trouble) return undefined
    const { fault, phase, at } = trouble
    const begun = phase === 'mid-blob' || phase === 'blob end' ? at - exchange.first : 0
    // What replaces an answer replaces that of a resume: before it, the download has begun well.
    if (begun > 0 && fault.within !== true) return cutAfter(exchange, begun)
    happened[index] = (happened[index] ?? 0) + 1
    const position = Math.min(Math.max(0, at - exchange.first), exchange.healthy.body.length - 1)
    return fault.play({
      ...exchange,
      at: position,
      whole: layer.bytes,
      places: places.urls,
      revoke,
    })
  }
  return { misbehaviour, hasHappened: () => happened.some((times) => times > 0) }
}

function isIn(phase: Phase, { kind, method, reference }: RawExchange, layer: FakeBlob): boolean {
  if (phase === 'token') return kind === 'token'
  if (phase === 'head') return kind === 'manifest' && method === 'HEAD'
  if (phase === 'manifest') return kind === 'manifest' && method === 'GET'
  return kind === 'blob' && reference === layer.digest
}

function* cutAfter({ healthy }: RawExchange, bytes: number): Iterable<Step> {
  yield { send: headText(healthy) }
  yield { send: healthy.body.subarray(0, bytes) }
  yield { end: 'close' }
}

/** Of tokens and manifests, any byte in their middle. */
function positionIn(phase: Phase): number {
  if (phase === 'blob start') return 0
  if (phase === 'mid-blob') return MIDDLE
  return phase === 'blob end' ? LAYER_BYTES - 1 : 20
}
