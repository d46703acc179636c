/**
 * A mirror with a private upstream that it has a password for, a public one, and teams that may not see
 * each other's repositories. Names of the same kind have the same length, so that no length tells them apart.
 */
import {
  buildArtifact,
  buildImage,
  type FakeImage,
  type FakeManifest,
  randomBlob,
} from '../fakes/images.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { mirrorHosts } from '../scenarios/shapes.ts'
import { basic, type Headers, openPeople, type People, tokenFor } from './leak-people.ts'
import type { Wanted } from './leak-requests.ts'

export const UPSTREAM = 'quay.io'
export const PUBLIC = 'library/web'

/** Below `quay.io`; each team's users may pull all that begins with its name. */
export const REPOSITORIES = {
  ofOneTeam: 'team-a/app',
  ofAnotherTeam: 'team-b/app',
  /** There and allowed, and of nobody. */
  ofNobody: 'team-c/app',
  /** There, and refused by a rule. */
  refused: 'team-x/app',
  /** There, and no rule is about it. */
  unallowed: 'team-u/app',
  /** Allowed, and not there. */
  unknown: 'team-n/app',
} as const

export const IMAGE = buildImage({ seed: 'secret', layers: [70_000, 5000] })
export const SBOM = buildArtifact({ seed: 'secret sbom', subject: IMAGE })
const PUBLIC_IMAGE = buildImage({ seed: 'public' })
/** Of the right size, and nowhere. */
const ELSEWHERE = {
  manifest: digestOf(randomBlob(100, 'no manifest')),
  blob: digestOf(randomBlob(100, 'no blob')),
}

export const SECRET: Wanted = wantedOf(IMAGE)
export const NOTHING: Wanted = { tag: 'v0', ...ELSEWHERE, size: SECRET.size }

export interface World extends AsyncDisposable {
  readonly mirror: Mirror
  readonly registry: FakeRegistry
  readonly publicRegistry: FakeRegistry
  readonly people: People
  /** Each with the headers to send; none of them may pull anything of `team-b`. */
  readonly strangers: Readonly<Record<string, Headers>>
  /** May pull all of `team-b`. */
  readonly bob: Headers
  /** May pull everything that the rules allow. */
  readonly carol: Headers
  /** Operates `team-a`. */
  readonly operator: Headers
  /** How often anything was asked of any upstream, tokens included. */
  asked(): number
}

export async function openWorld(): Promise<World> {
  await using stack = new AsyncDisposableStack()
  const registry = stack.use(await startPrivateRegistry())
  const publicRegistry = stack.use(await startRegistry())
  publicRegistry.push(PUBLIC, 'v1', PUBLIC_IMAGE)
  const mirror = stack.use(await startGuarded(registry, publicRegistry))
  const people = await openPeople(mirror)
  const alice = await people.user('alice', 'password of alice', 'pull quay.io/team-a/**')
  const robot = await people.robot('ci', 'push quay.io/team-a/**')
  const operator = await people.robot('operator', 'operate quay.io/team-a/**')
  const bob = await people.user('bob', 'password of bob', 'pull quay.io/team-b/**')
  const carol = await people.user('carol', 'password of carol', 'pull **')
  const scope = `&scope=repository:${UPSTREAM}/${REPOSITORIES.ofAnotherTeam}:pull,push,*`
  const strangers = {
    nobody: {},
    'nobody with a token': await tokenFor(mirror, {}, scope),
    foreigner: basic('hub-user', 'password of Docker Hub'),
    alice: await tokenFor(mirror, alice, scope),
    'alice by password': alice,
    robot: robot.headers,
    'robot with a token': await tokenFor(mirror, basic('x', robot.token), scope),
    operator: operator.headers,
  }
  const parts = stack.move()
  return {
    mirror,
    registry,
    publicRegistry,
    people,
    strangers,
    bob: await tokenFor(mirror, bob),
    carol: await tokenFor(mirror, carol),
    operator: operator.headers,
    asked: () =>
      [registry, publicRegistry, registry.tokenServer].reduce(
        (sum, served) => sum + (served?.requests.length ?? 0),
        0,
      ),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}

/** So that everything that can be had of it is here. */
export async function warm({ mirror }: World, headers: Headers): Promise<void> {
  const base = `/v2/${UPSTREAM}/${REPOSITORIES.ofAnotherTeam}`
  await mirror.pull(`${UPSTREAM}/${REPOSITORIES.ofAnotherTeam}`, 'v1', { headers })
  for (const rest of ['tags/list', `referrers/${IMAGE.digest}`, `manifests/${SBOM.digest}`]) {
    const { status } = await mirror.get(`${base}/${rest}`, { headers })
    if (status !== 200) throw new Error(`${rest} was answered ${status}.`)
  }
  await mirror.app.idle()
}

const CREDENTIAL = { username: 'mirror', password: 'password of the mirror' }

async function startPrivateRegistry(): Promise<FakeRegistry> {
  const { unknown: _, ...there } = REPOSITORIES
  const registry = await startRegistry({
    auth: { kind: 'token', ...CREDENTIAL, privateRepositories: Object.values(there) },
  })
  for (const name of Object.values(there)) {
    // Of its own, so that the secret is in the repository of one team and nowhere else it may be pulled.
    registry.push(name, 'own', buildImage({ seed: name }))
  }
  const { ofAnotherTeam, refused, unallowed, ofNobody } = REPOSITORIES
  for (const name of [ofAnotherTeam, refused, unallowed, ofNobody]) {
    registry.push(name, 'v1', IMAGE)
    registry.push(name, undefined, SBOM)
    registry.pushManifest(name, fallbackIndex())
  }
  return registry
}

function fallbackIndex(): FakeManifest {
  return SBOM
}

function startGuarded(registry: FakeRegistry, publicRegistry: FakeRegistry): Promise<Mirror> {
  return startMirror({
    upstreams: {
      [UPSTREAM]: { registry, credentials: [CREDENTIAL] },
      'docker.io': publicRegistry,
    },
    yaml: { defaultUpstream: UPSTREAM, hosts: mirrorHosts(UPSTREAM) },
    allow: ['quay.io/team-[abcnx]/app'],
    deny: [`${UPSTREAM}/${REPOSITORIES.refused}`],
    anonymous: [`docker.io/library/**`],
  })
}

function wantedOf(image: FakeImage): Wanted {
  const layer = image.blobs.at(-1)
  if (layer === undefined) throw new Error('An image has a layer.')
  return { tag: 'v1', manifest: image.digest, blob: layer.digest, size: layer.bytes.length }
}
