/** k3s, RKE2 and Talos: Kubernetes that writes the files of containerd itself. */
import { plainYaml, type YamlValue } from '../formats/yaml-edit.ts'
import { caFile, modeFor, ownFile, yamlFile } from './files.ts'
import { apiRoot, type MirrorPlace } from './place.ts'
import type { Recipe } from './recipe.ts'

export function k3s(place: MirrorPlace): Recipe {
  return rancher(place, {
    title: 'k3s',
    folder: '/etc/rancher/k3s',
    commands: ['systemctl restart k3s', 'systemctl restart k3s-agent'],
  })
}

export function rke2(place: MirrorPlace): Recipe {
  return rancher(place, {
    title: 'RKE2',
    folder: '/etc/rancher/rke2',
    commands: ['systemctl restart rke2-server', 'systemctl restart rke2-agent'],
  })
}

interface Kind {
  readonly title: string
  readonly folder: string
  readonly commands: readonly string[]
}

function rancher(place: MirrorPlace, { title, folder, commands }: Kind): Recipe {
  const { fallback, host, login, upstreams } = place
  const ca = `${folder}/entrepot-ca.pem`
  const mirrors = upstreams.map(
    (upstream) => [upstream, { endpoint: [apiRoot(place, upstream)] }] as const,
  )
  const config: Record<string, YamlValue> = {}
  if (login) config['auth'] = { username: login.username, password: login.password }
  if (place.ca !== undefined) config['tls'] = { ca_file: ca }
  const hasConfig = Object.keys(config).length > 0
  const registries = yamlFile(
    `${folder}/registries.yaml`,
    { mirrors: Object.fromEntries(mirrors), ...(hasConfig ? { configs: { [host]: config } } : {}) },
    modeFor(login !== undefined),
  )
  const noOtherWay = plainYaml({ 'disable-default-registry-endpoint': true })
  return {
    title,
    files: [
      registries,
      ...(fallback ? [] : [ownFile(`${folder}/config.yaml.d/50-entrepot.yaml`, noOtherWay)]),
      ...caFile(place, ca),
    ],
    commands,
    notes: [
      'Needed on every node. The first command is for servers, the second for agents.',
      fallback
        ? `What the mirror refuses or does not have, ${title} asks the registry itself for.`
        : `disable-default-registry-endpoint counts for all registries with an entry in registries.yaml.`,
      `The images that ${title} starts with come the same way: the mirror must allow docker.io/rancher/*.`,
    ],
  }
}

export function talos(place: MirrorPlace): Recipe {
  const { ca, fallback, host, login, upstreams } = place
  const mirrors = upstreams.map((upstream) => {
    const endpoint = { endpoints: [apiRoot(place, upstream)], overridePath: true }
    return [upstream, fallback ? endpoint : { ...endpoint, skipFallback: true }] as const
  })
  const config: Record<string, YamlValue> = {}
  if (login) config['auth'] = { username: login.username, password: login.password }
  if (ca !== undefined) config['tls'] = { ca: Buffer.from(ca).toString('base64') }
  const hasConfig = Object.keys(config).length > 0
  const registries: Record<string, YamlValue> = {
    mirrors: Object.fromEntries(mirrors),
    ...(hasConfig ? { config: { [host]: config } } : {}),
  }
  return {
    title: 'Talos Linux',
    files: [
      ownFile(
        '~/entrepot-talos.yaml',
        plainYaml({ machine: { registries } }),
        modeFor(login !== undefined),
      ),
    ],
    commands: ['talosctl patch machineconfig --nodes NODE --patch @"$HOME/entrepot-talos.yaml"'],
    notes: [
      'The file is a patch for the configuration of each node; it may stand among the patches of talosctl gen config as well.',
      fallback
        ? 'What the mirror refuses or does not have, Talos asks the registry itself for.'
        : 'skipFallback is known to Talos 1.9 and later; earlier versions refuse the patch.',
      'To undo it, take the same entries out of the configuration of each node: a patch cannot remove them.',
    ],
  }
}
