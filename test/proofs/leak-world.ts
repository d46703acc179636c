/**
 * A mirror with a private upstream that it has a password for, a public one, and teams that may not see
 * each other's repositories. Names of the same kind have the same length: no length tells them apart.
 */
import { digestOf } from '../../src/oci/digest.ts'
import {
  buildArtifact,
  buildImage,
  buildReferrersIndex,
  type FakeImage,
  randomBlob,
} from '../fakes/images.ts'
import { type FakeRegistry, startRegistry } from '../fakes/registry.ts'
import { mirrorHosts } from '../scenarios/shapes.ts'
import { type Mirror, startMirror } from '../support/mirror.ts'
import { basic, type Headers, openPeople, type People, tokenFor } from '../support/people.ts'
import type { Wanted } from './leak-requests.ts'

export const UPSTREAM = 'quay.io'
export const PUBLIC = 'library/web'

/** Below `quay.io`. */
export const REPOSITORIES = {
  ofOneTeam: 'team-a/app',
  ofAnotherTeam: 'team-b/app',
  /** There and allowed, and of no team. */
  ofNoTeam: 'team-c/app',
  /** There, and refused by a rule. */
  refused: 'team-x/app',
  /** There, and no rule is about it. */
  unallowed: 'team-u/app',
  /** Allowed, and not there. */
  unknown: 'team-n/app',
} as const

/** In every repository that is there, but for that of the one team. */
const IMAGE = buildImage({ seed: 'secret', layers: [70_000, 5000] })
/** In the repository of no team alone. */
export const HIDDEN = buildImage({ seed: 'hidden', layers: [70_000, 5000] })
export const SECRET = wantedOf(IMAGE)
export const HIDDEN_SECRET = wantedOf(HIDDEN)
/** Digests of what is nowhere. */
export const NOTHING: Wanted = {
  ...SECRET,
  manifest: digestOf(randomBlob(100, 'no manifest')),
  blob: digestOf(randomBlob(100, 'no blob')),
}

export interface World extends AsyncDisposable {
  readonly mirror: Mirror
  readonly registry: FakeRegistry
  readonly publicRegistry: FakeRegistry
  readonly people: People
  /** Each with the headers to send; none may pull what is not of the one team. */
  readonly strangers: Readonly<Record<string, Headers>>
  /** May pull what is of the other team. */
  readonly bob: Headers
  /** May pull everything that the rules allow. */
  readonly carol: Headers
  /** Operates what is of the one team. */
  readonly operator: Headers
  /** How often anything was asked of any upstream, tokens included. */
  asked(): number
}

export async function openWorld(): Promise<World> {
  const registry = await startPrivateRegistry()
  const publicRegistry = await startRegistry()
  publicRegistry.push(PUBLIC, 'v1', buildImage({ seed: 'public' }))
  const mirror = await startGuarded(registry, publicRegistry)
  const people = await openPeople(mirror)
  const bob = await people.user('bob', 'password of bob', 'pull quay.io/team-b/**')
  const carol = await people.user('carol', 'password of carol', 'pull **')
  return {
    mirror,
    registry,
    publicRegistry,
    people,
    ...(await makeStrangers(mirror, people)),
    bob: await tokenFor(mirror, bob),
    carol: await tokenFor(mirror, carol),
    asked: () =>
      [registry, publicRegistry, registry.tokenServer].reduce(
        (sum, served) => sum + (served?.requests.length ?? 0),
        0,
      ),
    async [Symbol.asyncDispose]() {
      await mirror[Symbol.asyncDispose]()
      await publicRegistry.close()
      await registry.close()
    },
  }
}

/** By every way of saying who one is; the scopes that they ask for are those of others. */
async function makeStrangers(
  mirror: Mirror,
  people: People,
): Promise<Pick<World, 'strangers' | 'operator'>> {
  const scope = `&scope=repository:${UPSTREAM}/${REPOSITORIES.ofAnotherTeam}:pull,push,*`
  const alice = await people.user('alice', 'password of alice', 'pull quay.io/team-a/**')
  const robot = await people.robot('ci', 'push quay.io/team-a/**')
  const operator = await people.robot('operator', 'operate quay.io/team-a/**')
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
  return { strangers, operator: operator.headers }
}

export function isNamed(stranger: string): boolean {
  return !/^nobody|^foreigner/.test(stranger)
}

/** Everything that can be had of an image by its readers, so that it is here. */
export async function warm(
  { mirror }: World,
  headers: Headers,
  repository: string,
  { manifest, tag }: Wanted,
): Promise<void> {
  await mirror.pull(`${UPSTREAM}/${repository}`, tag, { headers })
  const rests = ['tags/list', `referrers/${manifest}`, `manifests/${manifest.replace(':', '-')}`]
  for (const rest of rests) {
    const { status } = await mirror.get(`/v2/${UPSTREAM}/${repository}/${rest}`, { headers })
    if (status !== 200) throw new Error(`${repository}/${rest} was answered ${status}.`)
  }
  await mirror.app.idle()
}

const CREDENTIAL = { username: 'mirror', password: 'password of the mirror' }

async function startPrivateRegistry(): Promise<FakeRegistry> {
  const { unknown: _unknown, ofOneTeam, ofNoTeam, ...holders } = REPOSITORIES
  const there = [ofOneTeam, ofNoTeam, ...Object.values(holders)]
  const registry = await startRegistry({
    auth: { kind: 'token', ...CREDENTIAL, privateRepositories: there },
  })
  for (const name of there) registry.push(name, 'own', buildImage({ seed: name }))
  for (const name of Object.values(holders)) pushSigned(registry, name, IMAGE)
  pushSigned(registry, ofNoTeam, HIDDEN)
  return registry
}

/** With what refers to it, under the tag of registries without the API too. */
function pushSigned(registry: FakeRegistry, name: string, image: FakeImage): void {
  registry.push(name, 'v1', image)
  const sbom = buildArtifact({ seed: 'sbom', subject: image })
  registry.push(name, undefined, sbom)
  const list = registry.pushManifest(name, buildReferrersIndex([sbom]))
  registry.setTag(name, image.digest.replace(':', '-'), list)
}

/** Kept by every reload, as the keys of the file are given as a whole. */
export const YAML = { defaultUpstream: UPSTREAM, hosts: mirrorHosts(UPSTREAM) }

function startGuarded(registry: FakeRegistry, publicRegistry: FakeRegistry): Promise<Mirror> {
  const { refused, unallowed: _unallowed, ...allowed } = REPOSITORIES
  return startMirror({
    upstreams: {
      [UPSTREAM]: { registry, credentials: [CREDENTIAL], tagTtl: '30s' },
      'docker.io': publicRegistry,
    },
    yaml: YAML,
    allow: [
      `docker.io/${PUBLIC}`,
      `${UPSTREAM}/team-x/**`,
      ...Object.values(allowed).map((name) => `${UPSTREAM}/${name}`),
    ],
    deny: [`${UPSTREAM}/${refused}`],
    anonymous: [`docker.io/library/**`],
  })
}

function wantedOf(image: FakeImage): Wanted {
  const layer = image.blobs.at(-1)
  if (layer === undefined) throw new Error('An image has a layer.')
  return { tag: 'v1', manifest: image.digest, blob: layer.digest, size: layer.bytes.length }
}
