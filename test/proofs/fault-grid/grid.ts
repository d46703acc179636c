/** Runs cells of the fault grid on one mirror, and says what was not as it should be. */
import { type RawRegistry, startRawRegistry } from '../../fakes/raw-registry.ts'
import { spoolFiles } from '../../support/leaks.ts'
import { type Mirror, startMirror } from '../../support/mirror.ts'
import { until, within } from '../../support/until.ts'
import { wrongFiles } from '../stored-files.ts'
import type { BadPlaces } from './bad-places.ts'
import { type Cell, isHarmless, misbehaviourOf, needsRestart } from './cell.ts'
import { DEADLINE, pullAfterwards, pullInTrouble } from './pulls.ts'
import { PASSWORD, secretIn, strayCredentials, TOKEN, USER } from './witness.ts'

/** Time limits towards upstream. */
const BRIEF = { connect: '0.5s', firstByte: '0.5s', idle: '0.5s' }
/** For faults that nobody needs to notice: a busy machine must not look like one that they cause. */
const PATIENT = { connect: '10s', firstByte: '10s', idle: '10s' }
/** Milliseconds; less than an idle connection would live by itself. */
const DISCONNECT = 2000

/** @returns violations, each once, in words; none when the mirror kept its promises */
export async function runCells(cells: readonly Cell[], places: BadPlaces): Promise<string[]> {
  const secrets = { username: USER, password: PASSWORD, tokenPrefix: TOKEN }
  await using registry = await startRawRegistry(secrets)
  const violations: string[] = []
  {
    const yaml = yamlFor(cells, registry, places)
    await using mirror = await startMirror({ upstreams: {}, yaml })
    const troubled = cells.map((cell) => trouble(mirror, cell, registry, places))
    violations.push(...(await Promise.all(troubled)).flat(), ...(await leftBehind(mirror)))

    for (const { repository } of cells) registry.misbehave(repository, undefined)
    // Without a restart for some, after one for the others.
    const running = cells.filter((cell) => cell.clients === 1 && !needsRestart(cell))
    violations.push(...(await pullAfterwards(mirror, running)))
    await mirror.restart()
    violations.push(...(await pullAfterwards(mirror, cells)), ...(await leftBehind(mirror)))
    violations.push(...strayCredentials(registry, places), ...(await toldSecrets(mirror)))
  }
  await until(() => registry.connections() === 0, {
    deadlineMs: DISCONNECT,
    what: 'a closed mirror has no connection to its upstream',
  })
  return [...new Set(violations)]
}

/** Every cell has an upstream of its own, so that none makes another wait. */
function yamlFor(
  cells: readonly Cell[],
  registry: RawRegistry,
  places: BadPlaces,
): Record<string, unknown> {
  const upstream = {
    endpoints: [registry.url],
    insecure: true,
    ca: places.caFile,
    networks: ['127.0.0.1/32'],
    realms: [registry.tokenHost, ...places.pinned],
    credentials: [{ username: USER, password: PASSWORD }],
    tagTtl: '0s',
  }
  return {
    timeouts: cells.every(isHarmless) ? PATIENT : BRIEF,
    upstreams: Object.fromEntries(cells.map((cell) => [cell.upstream, upstream])),
  }
}

/** @returns violations, in words */
function trouble(
  mirror: Mirror,
  cell: Cell,
  registry: RawRegistry,
  places: BadPlaces,
): Promise<string[]> {
  const { repository, image } = cell
  registry.push(repository, 'v1', image)
  const { misbehaviour, hasHappened } = misbehaviourOf(cell, places, () =>
    registry.revoke(repository),
  )
  registry.misbehave(repository, misbehaviour)
  return pullInTrouble(mirror, cell, hasHappened)
}

/** @returns files that an idle mirror should not have, in words */
async function leftBehind({ app, dataDir }: Mirror): Promise<string[]> {
  await within(app.idle(), { deadlineMs: DEADLINE, what: 'the mirror is idle' })
  const spool = await spoolFiles(dataDir)
  const wrong = await wrongFiles(dataDir)
  return [
    ...spool.map((file) => `left in the spool: ${file}`),
    ...wrong.map((file) => `wrong in the store: ${file}`),
  ]
}

/** @returns secrets in the log and the metrics, in words */
async function toldSecrets(mirror: Mirror): Promise<string[]> {
  const { body } = await mirror.get('/metrics')
  const secret = secretIn(JSON.stringify(mirror.logs), body.toString())
  return secret === undefined ? [] : [`${secret} stands in the log or the metrics`]
}
