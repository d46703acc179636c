/** containerd for Kubernetes and ctr, and nerdctl without root. */
import { FormatError } from '../formats/format-error.ts'
import { removeMarked, splitMark } from '../formats/marked.ts'
import { isTable, type Table, valueAt } from '../formats/same.ts'
import { mergeToml, parseToml, type TomlTable, tomlText } from '../formats/toml.ts'
import type { ClientFile } from './client-config.ts'
import { loginFile } from './files.ts'
import { hostsFiles } from './hosts-toml.ts'
import { exampleImage, type MirrorPlace } from './place.ts'
import type { Recipe } from './recipe.ts'

const CERTS_D = '/etc/containerd/certs.d'

export function containerd(place: MirrorPlace): Recipe {
  return {
    title: 'containerd',
    files: [...hostsFiles(place, CERTS_D), configFile()],
    commands: [
      'systemctl restart containerd',
      `ctr images pull --hosts-dir ${CERTS_D} ${exampleImage(place)}`,
    ],
    notes: [
      `The files below ${CERTS_D} are read at each pull. Only a change of /etc/containerd/config.toml needs the restart.`,
      `ctr does not read /etc/containerd/config.toml: it is told the folder each time.`,
      'containerd 2.2 and later look into this folder by themselves; earlier versions without a config.toml need one with config_path.',
      place.fallback
        ? 'What the mirror refuses or does not have, containerd asks the registry itself for.'
        : 'The mirror is the server too, so that containerd asks nobody else.',
      ...(place.login
        ? ['The login is in the files, which are a secret now: their mode is 600.']
        : []),
    ],
  }
}

export function nerdctl(place: MirrorPlace): Recipe {
  return {
    title: 'nerdctl without root',
    files: [
      ...hostsFiles(place, '~/.config/containerd/certs.d'),
      ...loginFile(place, '~/.docker/config.json'),
    ],
    commands: [`nerdctl pull ${exampleImage(place)}`],
    notes: [
      `nerdctl as root reads ${CERTS_D}: use "entrepot client-config containerd" for it.`,
      place.fallback
        ? 'What the mirror refuses or does not have, nerdctl asks the registry itself for.'
        : 'The mirror is the server too, so that nerdctl asks nobody else.',
    ],
  }
}

/** Tells containerd where the other files are. */
function configFile(): ClientFile {
  const text = tomlText([{ path: [], keys: [{ key: 'version', value: 2 }] }, registryTable(2)])
  return {
    path: '/etc/containerd/config.toml',
    mode: 0o644,
    onlyIfThere: true,
    text,
    merge(existing) {
      const others = removeMarked(existing)
      if (others === undefined) return text
      const theirs = parseToml(splitMark(others)[1])
      const version = theirs['version']
      const table = registryTable(typeof version === 'number' ? version : 1)
      const there = valueAt(theirs, [...table.path, 'config_path'])
      if (typeof there === 'string' && there.split(':').includes(CERTS_D)) return others
      return mergeToml(existing, [table], {
        where: 'last',
        check: (value) => refuseOldForm(value, table),
      })
    },
    remove: removeMarked,
  }
}

const REGISTRY_1 = ['plugins', 'cri', 'registry']
const REGISTRY_2 = ['plugins', 'io.containerd.grpc.v1.cri', 'registry']
const REGISTRY_3 = ['plugins', 'io.containerd.cri.v1.images', 'registry']

function registryTable(version: number): TomlTable {
  const path = version >= 3 ? REGISTRY_3 : version === 2 ? REGISTRY_2 : REGISTRY_1
  return { path, keys: [{ key: 'config_path', value: CERTS_D, yields: [''] }] }
}

/** containerd does not start with a folder and lists of the older form at once. */
function refuseOldForm(theirs: Table, { path }: TomlTable): void {
  for (const name of ['mirrors', 'configs']) {
    const lists = valueAt(theirs, [...path, name])
    if (!isTable(lists) || Object.keys(lists).length === 0) continue
    throw new FormatError(
      `it has registry.${name}, an older form that containerd does not take together with config_path; move what is there to hosts.toml files below ${CERTS_D} and take it out`,
    )
  }
}
