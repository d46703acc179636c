/** What each client asks of the mirror when it pulls an image: the paths, and in which order. Pure. */
import { canonicalRegistry, DOCKER_HUB, expandRepository } from '../oci/registry-name.ts'
import type { ClientName, MirrorFacts } from './client-config.ts'

export interface ClientImage {
  readonly upstream: string
  readonly repository: string
}

export interface ClientRequests {
  /** Path with which it begins, and decides whether it logs in; `undefined`: it just begins. */
  readonly ping: string | undefined
  /** A tag is resolved by HEAD, and then fetched by its digest. */
  readonly headFirst: boolean
  /** The lines of the header `Accept` with which it asks for manifests. */
  readonly accept: readonly string[]
  /** For which it wants a token where a challenge does not say. */
  readonly scope: string
  /**
   * @param reference a tag or a digest
   * @returns path and query, as for blobs
   */
  manifest(reference: string): string
  blob(digest: string): string
}

const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const OCI_INDEX = 'application/vnd.oci.image.index.v1+json'
const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json'
const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json'
const SCHEMA_1 = 'application/vnd.docker.distribution.manifest.v1+json'
const SCHEMA_1_SIGNED = 'application/vnd.docker.distribution.manifest.v1+prettyjws'
const OCI_ARTIFACT = 'application/vnd.oci.artifact.manifest.v1+json'

/** How one kind of client goes about it. */
interface Habit {
  /** The registry is in the name, before `/v2`, or nowhere. */
  readonly form: 'in the name' | 'before v2' | 'nowhere'
  readonly namespace?: true
  readonly ping?: true
  readonly headFirst?: true
  readonly accept: readonly string[]
  /** It asks for tokens by the name that it was given, without the registry in front. */
  readonly ownScope?: true
}

const ENGINE = [DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX]

const CONTAINERD: Habit = {
  form: 'in the name',
  namespace: true,
  headFirst: true,
  accept: [[...ENGINE, '*/*'].join(', ')],
  ownScope: true,
}

const CONTAINERS: Habit = {
  form: 'in the name',
  ping: true,
  accept: [OCI_MANIFEST, DOCKER_MANIFEST, SCHEMA_1_SIGNED, SCHEMA_1, DOCKER_LIST, OCI_INDEX],
}

const CRANE: Habit = { form: 'in the name', ping: true, accept: [ENGINE.join(',')] }

const ORAS: Habit = {
  form: 'in the name',
  headFirst: true,
  accept: [[...ENGINE, OCI_ARTIFACT].join(', ')],
}

const HABITS: Readonly<Record<Exclude<ClientName, 'docker' | 'minikube'>, Habit>> = {
  'docker-patched': {
    form: 'before v2',
    ping: true,
    accept: [...ENGINE, SCHEMA_1_SIGNED],
    ownScope: true,
  },
  containerd: CONTAINERD,
  nerdctl: CONTAINERD,
  k3s: CONTAINERD,
  rke2: CONTAINERD,
  talos: CONTAINERD,
  buildkit: CONTAINERD,
  'cri-o': CONTAINERS,
  podman: CONTAINERS,
  skopeo: CONTAINERS,
  kaniko: CRANE,
  crane: CRANE,
  jib: {
    form: 'before v2',
    accept: [[OCI_MANIFEST, DOCKER_MANIFEST, SCHEMA_1, DOCKER_LIST, OCI_INDEX].join(',')],
    ownScope: true,
  },
  regctl: {
    form: 'nowhere',
    namespace: true,
    headFirst: true,
    accept: [...ENGINE, SCHEMA_1, SCHEMA_1_SIGNED, OCI_ARTIFACT],
    ownScope: true,
  },
  oras: ORAS,
  helm: ORAS,
  // By the mirror's own name: for containerd it is the registry then, and needs no namespace.
  'kubernetes-secret': { form: 'in the name', headFirst: true, accept: CONTAINERD.accept },
}

export function requestsOf(
  client: ClientName,
  facts: Pick<MirrorFacts, 'defaultUpstream'>,
  image: ClientImage,
): ClientRequests {
  const upstream = canonicalRegistry(image.upstream)
  const repository = expandRepository(upstream, image.repository)
  const { form, namespace, ping, headFirst, accept, ownScope } = habitOf(client, upstream, facts)
  const prefix = form === 'before v2' ? `/${upstream}` : ''
  const name = form === 'in the name' ? `${upstream}/${repository}` : repository
  const query = namespace ? `?ns=${encodeURIComponent(namespaceOf(client, upstream))}` : ''
  return {
    ping: ping && `${prefix}/v2/`,
    headFirst: headFirst ?? false,
    accept,
    scope: `repository:${ownScope ? repository : name}:pull`,
    manifest: (reference) => `${prefix}/v2/${name}/manifests/${reference}${query}`,
    blob: (digest) => `${prefix}/v2/${name}/blobs/${digest}${query}`,
  }
}

/** docker has a mirror of Docker Hub in every version, and of all else as containerd has it. */
function habitOf(
  client: ClientName,
  upstream: string,
  { defaultUpstream }: Pick<MirrorFacts, 'defaultUpstream'>,
): Habit {
  if (client !== 'docker' && client !== 'minikube') return HABITS[client]
  if (upstream !== DOCKER_HUB) return CONTAINERD
  const form = defaultUpstream === DOCKER_HUB ? 'nowhere' : 'before v2'
  return { form, ping: true, headFirst: true, accept: ENGINE, ownScope: true }
}

/** regctl knows Docker Hub by the name of its server. */
function namespaceOf(client: ClientName, upstream: string): string {
  return client === 'regctl' && upstream === DOCKER_HUB ? 'registry-1.docker.io' : upstream
}
