/** Who is to get what from the registry, and from what stands beside it. */
import type { AskingCaller } from './callers.ts'
import { matches, may } from './reference.ts'
import { always, refusal, type Row, type Rows } from './row.ts'
import { IMAGE, partsOf, type Place, TAG, type World } from './world.ts'

const READING = ['GET', 'HEAD']

/** Beside the registry. */
export const PAGES_TABLE: Readonly<Record<string, Rows>> = {
  'GET /': (_, method) => [always(200, method, '/')],
  'GET /healthz': (_, method) => [always(200, method, '/healthz')],
  'GET /readyz': (_, method) => [always(200, method, '/readyz')],
  'GET /client': (_, method) => [always(200, method, '/client')],
  'GET /client/install.sh': (_, method) => [always(200, method, '/client/install.sh')],
  'GET /client/:name': (_, method) => [
    always(200, method, '/client/docker'),
    always(200, method, '/client/podman?fallback=no'),
    always(404, method, '/client/nothing'),
  ],
  'ALL /token': (world, method, place) => [
    tokenRow(world, method, ''),
    tokenRow(world, method, `?service=mirror&scope=repository:${place.name}:pull`, place),
  ],
}

/** On the listener of the API. */
export const STATUS_TABLE: Readonly<Record<string, Rows>> = {
  'GET /metrics': (world, method) => [statusRow(world, method, '/metrics')],
  'GET /status': (world, method) => [statusRow(world, method, '/status')],
}

/** What is none of them. */
export const NOTHING: Rows = (_, method) =>
  ['/nothing', '/v1/', '/api', '/api/v1x/rules', '/metrics/', '/token/', '/V2/'].map((path) =>
    always(404, method, path),
  )

/** By the kind of resource, as `ALL /*` tells them apart. */
export const REGISTRY_TABLE: Readonly<Record<string, Rows>> = {
  ping: (world, method, place) => {
    const { upstream } = partsOf(place.name)
    const status = ({ credential }: AskingCaller) =>
      !asksForLogin(world) || credential === 'accepted' ? 200 : 401
    const named = (caller: AskingCaller) => (place.kind === 'unknown' ? 404 : status(caller))
    return [
      read(method, '/v2/', status),
      read(method, `/v2/${upstream}/`, named),
      read(method, `/${upstream}/v2/`, named),
    ]
  },
  catalog: (world, method, place) => [
    {
      ...read(method, '/v2/_catalog', ({ isNamed }) =>
        asksForLogin(world) && !isNamed && world.terms.anonymous.length === 0 ? 401 : 200,
      ),
      shows: {
        text: `"${place.name}"`,
        to: (caller) =>
          !['unknown', 'denied'].includes(place.kind) && mayPull(world, caller, place),
      },
    },
  ],
  upload: (_, method, { name }) => [
    always(405, method, `/v2/${name}/blobs/uploads/`),
    always(405, method, `/v2/${name}/blobs/uploads/7`),
  ],
  manifest: (world, method, place) => {
    const { upstream, repository } = partsOf(place.name)
    return [
      pulled(world, method, place, `/v2/${place.name}/manifests/${TAG}`),
      pulled(world, method, place, `/v2/${place.name}/manifests/${IMAGE.digest}`),
      pulled(world, method, place, `/${upstream}/v2/${repository}/manifests/${TAG}`),
      pulled(world, method, place, `/v2/${repository}/manifests/${TAG}?ns=${upstream}`),
    ]
  },
  blob: (world, method, place) =>
    IMAGE.blobs.map(({ digest }) =>
      pulled(world, method, place, `/v2/${place.name}/blobs/${digest}`),
    ),
  referrers: (world, method, place) => [
    pulled(world, method, place, `/v2/${place.name}/referrers/${IMAGE.digest}`),
  ],
  tags: (world, method, place) => [pulled(world, method, place, `/v2/${place.name}/tags/list`)],
}

/** What is pulled by everybody with a right to it, once the rules admit it. */
function pulled(world: World, method: string, place: Place, path: string): Row {
  return read(method, path, (caller) => {
    if (place.kind === 'unknown') return 404
    if (!mayPull(world, caller, place)) return caller.isNamed ? 403 : 401
    return place.kind === 'denied' ? 403 : 200
  })
}

/** This is a mirror: nobody writes. */
function read(method: string, path: string, status: (caller: AskingCaller) => number): Row {
  return {
    ...always(405, method, path),
    ...(READING.includes(method) && { expected: status }),
  }
}

function mayPull(world: World, caller: AskingCaller, { name }: Place): boolean {
  return isForEverybody(world, name) || may(caller.rights, 'pull', name)
}

function isForEverybody({ terms }: World, name: string): boolean {
  return terms.anonymous.some((pattern) => matches(pattern, name))
}

/** Each of these worlds has users, unless everything is for everybody and there is no API to add them. */
function asksForLogin({ terms }: World): boolean {
  return !terms.anonymous.includes('**') || terms.accounts
}

/** Who shows what is wrong gets a token of nobody, where nobody may pull all that it is for. */
function tokenRow(world: World, method: string, query: string, place?: Place): Row {
  const isForNobody =
    place !== undefined && place.kind !== 'unknown' && isForEverybody(world, place.name)
  const got = ({ credential }: AskingCaller) =>
    credential !== 'rejected' || !asksForLogin(world) || isForNobody ? 200 : 401
  return {
    ...always(method === 'POST' ? 404 : 405, method, `/token${query}`),
    ...(method === 'GET' && { expected: got }),
  }
}

function statusRow({ terms }: World, method: string, path: string): Row {
  return {
    ...always(200, method, path),
    expected: (caller) =>
      terms.anonymousStatus
        ? 200
        : (refusal(caller, { role: 'operate', reach: 'everywhere' }, '') ?? 200),
  }
}
