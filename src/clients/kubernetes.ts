/** A pull secret for a cluster, and a cluster in a box. */
import { plainYaml } from '../formats/yaml-edit.ts'
import { DOCKER_HUB } from '../oci/registry-name.ts'
import { caFile, ownFile } from './files.ts'
import { registryFiles } from './containers.ts'
import { hostsFiles } from './hosts-toml.ts'
import { base64Login, type MirrorPlace, prefixed } from './place.ts'
import type { Recipe } from './recipe.ts'

const SECRET = '~/entrepot-secret.yaml'

export function kubernetesSecret(place: MirrorPlace): Recipe {
  const { host, login } = place
  if (login === undefined) {
    return {
      title: 'Kubernetes pull secret',
      files: [],
      commands: [],
      notes: [
        'A pull secret holds a login: give --username and --password-file. Without a login none is needed.',
      ],
    }
  }
  const auth = { ...login, auth: base64Login(login) }
  const manifest = plainYaml({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'entrepot' },
    type: 'kubernetes.io/dockerconfigjson',
    stringData: { '.dockerconfigjson': JSON.stringify({ auths: { [host]: auth } }) },
  })
  return {
    title: 'Kubernetes pull secret',
    files: [ownFile(SECRET, manifest, 0o600)],
    commands: [
      'kubectl apply -f "$HOME/entrepot-secret.yaml"',
      `kubectl patch serviceaccount default -p '{"imagePullSecrets":[{"name":"entrepot"}]}'`,
    ],
    notes: [
      `The kubelet takes the secret for images that begin with ${host}, as in ${prefixed(place, place.firstUpstream)}/NAME:TAG.`,
      'Both commands are for one namespace; with -n for another. The second gives the secret to all pods of the default service account that have none of their own; it replaces a list that is there.',
    ],
  }
}

const NODE_FILES = '~/.minikube/files'

export function minikube(place: MirrorPlace): Recipe {
  const { ca, defaultUpstream, host, isPlainHttp, upstreams, url } = place
  const hub = defaultUpstream === DOCKER_HUB ? url : `${url}/${DOCKER_HUB}`
  const words = [
    'minikube start',
    ...(upstreams.includes(DOCKER_HUB) ? [`--registry-mirror=${hub}`] : []),
    ...(isPlainHttp ? [`--insecure-registry=${host}`] : []),
    ...(ca === undefined ? [] : ['--embed-certs']),
  ]
  return {
    title: 'minikube',
    files: [
      ...hostsFiles(place, `${NODE_FILES}/etc/containerd/certs.d`),
      ...registryFiles(place, `${NODE_FILES}/etc/containers`),
      ...caFile(place, '~/.minikube/certs/entrepot-ca.pem'),
    ],
    commands: [words.join(' ')],
    notes: [
      'minikube copies what is below ~/.minikube/files into a node when it makes it: a cluster that is there already has to be made anew, after minikube delete.',
      'With the docker runtime only Docker Hub has a mirror, by --registry-mirror, and no setting keeps docker from asking Docker Hub itself. With --container-runtime=containerd or cri-o all registries have one.',
    ],
  }
}
