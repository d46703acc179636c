/** What can happen in a history: clients, upstream, the operator. */
import * as fc from 'fast-check'
import {
  BLOBS,
  CONTENTS,
  imageOf,
  IMAGES_EACH,
  type Model,
  nameOf,
  REPOSITORIES,
  TAGS,
} from './history-model.ts'
import {
  getContent,
  getPart,
  leaveEarly,
  pullDigest,
  pullTag,
  readStored,
  reload,
  restart,
  scrub,
  step,
  type World,
} from './history-world.ts'

export type Command = fc.AsyncCommand<Model, World>

const repository = fc.constantFrom(...REPOSITORIES)
const tag = fc.constantFrom(...TAGS)
const number = fc.nat({ max: IMAGES_EACH - 1 })
const by = fc.constantFrom('GET' as const, 'HEAD' as const)
const content = fc.constantFrom(...CONTENTS.values())
const blob = fc.constantFrom(...BLOBS)
/** Where in a blob, as a share of it. */
const share = fc.noBias(fc.nat({ max: 1000 })).map((thousandths) => thousandths / 1000)
/** What keeps much else from happening. */
const seldom = fc.constantFrom(false, false, true)
/** Less than all images together, more than any blob. */
const budget = fc.option(
  fc.integer({ min: 150, max: 500 }).map((kib) => kib * 1024),
  { nil: undefined },
)

const pullingTag = fc.record({ repository, tag, by })

const CLIENTS = [
  command('pull', pullingTag, pullTag),
  command('pull', pullingTag, pullTag),
  command('pull by digest', fc.record({ repository, number }), pullDigest),
  command('get', fc.record({ repository, content }), async (world, model, of) => {
    await getContent(world, model, of.repository, of.content)
  }),
  command(
    'range',
    fc.record({ repository, blob, from: share, to: share }),
    async (world, model, of) => {
      const size = of.blob.bytes.length
      const first = Math.floor(of.from * (size - 1))
      const last = first + Math.floor(of.to * (size - 1 - first))
      await getPart(world, model, of.repository, { content: of.blob, first, last })
    },
  ),
  command('join', pullingTag, async (world, model, of) => {
    await Promise.all([pullTag(world, model, of), pullTag(world, model, of)])
  }),
  command('join a blob', fc.record({ repository, blob }), async (world, model, of) => {
    const one = getContent(world, model, of.repository, of.blob)
    await Promise.all([one, getContent(world, model, of.repository, of.blob)])
  }),
  command('leave', fc.record({ repository, blob, at: share }), async (world, model, of) => {
    const bytes = Math.floor(of.at * of.blob.bytes.length)
    await leaveEarly(world, model, of.repository, { content: of.blob, bytes })
  }),
]

const MOVE = command('move a tag', fc.record({ repository, tag, number }), (world, model, of) => {
  const { digest } = imageOf(of.repository, of.number)
  world.registry.setTag(of.repository, of.tag, digest)
  model.tags.set(nameOf(of.repository, of.tag), digest)
})

const UPSTREAM = [
  MOVE,
  MOVE,
  MOVE,
  MOVE,
  command('delete a tag', fc.record({ repository, tag }), (world, model, of) => {
    world.registry.removeTag(of.repository, of.tag)
    model.tags.delete(nameOf(of.repository, of.tag))
  }),
  command(
    'upstream',
    fc.record({ isUp: fc.boolean(), restart: fc.boolean() }),
    async (world, model, of) => {
      if (of.isUp && !model.isUp) await world.registry.comeUp()
      if (!of.isUp && model.isUp) await world.registry.goDown()
      model.isUp = of.isUp
      // Else failures are remembered for longer than a history lasts.
      if (of.restart) await restart(world, model)
    },
  ),
]

const OPERATOR = [
  command('restart', fc.record({ budget }), async (world, model, of) => {
    world.stored = await readStored(world.mirror)
    model.budget = of.budget
    await restart(world, model)
  }),
  command('restart', fc.record({}), restart),
  command('scrub', fc.record({}), scrub),
  command(
    'deny',
    fc.record({ denied: fc.subarray([...REPOSITORIES], { maxLength: 1 }) }),
    (world, model, of) => {
      model.denied = new Set(of.denied)
      reload(world, model)
    },
  ),
  command('offline', fc.record({ isOffline: seldom }), (world, model, { isOffline }) => {
    model.isOffline = isOffline
    reload(world, model)
  }),
  command('believe tags', fc.record({ believesTags: seldom }), (world, model, of) => {
    model.believesTags = of.believesTags
    reload(world, model)
  }),
]

/** Clients do most of it. */
export const COMMANDS: fc.Arbitrary<Command>[] = [...CLIENTS, ...CLIENTS, ...UPSTREAM, ...OPERATOR]

/** @param name how the step is printed where a history fails, with what was drawn for it */
function command<T extends object>(
  name: string,
  drawn: fc.Arbitrary<T>,
  run: (world: World, model: Model, of: T) => Promise<void> | void,
): fc.Arbitrary<Command> {
  return drawn.map((of) => ({
    check: () => true,
    run: (model, world) => step(world, model, async () => run(world, model, of)),
    toString: () => `${name} ${JSON.stringify(of, shortened)}`,
  }))
}

/** Bytes say nothing to a reader; of a digest its beginning is enough. */
function shortened(key: string, value: unknown): unknown {
  if (key === 'bytes') return undefined
  return key === 'digest' && typeof value === 'string' ? value.slice(0, 19) : value
}
