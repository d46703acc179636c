/** By the name of a client: what it needs so that it pulls through the mirror. */
import { DOCKER_HUB } from '../oci/registry-name.ts'
import { buildkit } from './buildkit.ts'
import { jib, kaniko } from './builders.ts'
import type { ClientConfig, ClientFile, ClientName, MirrorFacts } from './client-config.ts'
import { containerd, nerdctl } from './containerd.ts'
import { crio, podman, skopeo } from './containers.ts'
import { docker, dockerPatched } from './docker.ts'
import { kubernetesSecret, minikube } from './kubernetes.ts'
import { type MirrorPlace, placeOf } from './place.ts'
import { k3s, rke2, talos } from './rancher.ts'
import type { Recipe } from './recipe.ts'
import { crane, helm, oras, regctl } from './tools.ts'

const RECIPES: Readonly<Record<ClientName, (place: MirrorPlace) => Recipe>> = {
  docker,
  'docker-patched': dockerPatched,
  containerd,
  'cri-o': crio,
  podman,
  buildkit,
  k3s,
  rke2,
  talos,
  nerdctl,
  kaniko,
  jib,
  skopeo,
  crane,
  regctl,
  oras,
  helm,
  'kubernetes-secret': kubernetesSecret,
  minikube,
}

/** @throws {FormatError} for a URL, name, login or certificate that could not stand in a file as it is */
export function clientConfig(name: ClientName, facts: MirrorFacts): ClientConfig {
  const place = placeOf(facts)
  const recipe = RECIPES[name](place)
  return { name, ...recipe, formerFiles: formerFiles(name, place, recipe.files) }
}

function formerFiles(
  name: ClientName,
  place: MirrorPlace,
  files: readonly ClientFile[],
): readonly ClientFile[] {
  // What stands in them does not matter: they are only cleaned.
  const full = {
    ...place,
    upstreams: [...new Set([...place.upstreams, DOCKER_HUB])],
    ca: place.ca ?? '',
    login: place.login ?? { username: 'x', password: 'x' },
  }
  const variants = [true, false].flatMap((fallback) => RECIPES[name]({ ...full, fallback }).files)
  const paths = new Set(files.map(({ path }) => path))
  return variants.filter(({ path }) => !paths.has(path) && paths.add(path))
}
