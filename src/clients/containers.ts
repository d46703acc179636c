/** What reads `registries.conf`: podman, buildah, skopeo and CRI-O. */
import { FormatError } from '../formats/format-error.ts'
import { isTable, type Table } from '../formats/same.ts'
import type { TomlTable } from '../formats/toml.ts'
import type { ClientFile } from './client-config.ts'
import { caFile, loginFile, tomlFile } from './files.ts'
import { exampleImage, type MirrorPlace, prefixed, shellWord } from './place.ts'
import type { Recipe } from './recipe.ts'

const AUTH_JSON = '~/.config/containers/auth.json'

export function podman(place: MirrorPlace): Recipe {
  return {
    title: 'podman and buildah',
    files: [...registryFiles(place), ...loginFile(place, AUTH_JSON)],
    commands: [`podman pull ${exampleImage(place)}`],
    notes: [
      'The files are read at each pull, by root and all others alike. For one user alone they go below ~/.config/containers instead of /etc/containers.',
      ...commonNotes(place),
      ...loginNotes(place, 'podman'),
    ],
  }
}

export function skopeo(place: MirrorPlace): Recipe {
  return {
    title: 'skopeo',
    files: [...registryFiles(place), ...loginFile(place, AUTH_JSON)],
    commands: [`skopeo inspect docker://${exampleImage(place)}`],
    notes: [
      'skopeo reads the same files as podman, at each call.',
      ...commonNotes(place),
      ...loginNotes(place, 'skopeo'),
    ],
  }
}

export function crio(place: MirrorPlace): Recipe {
  return {
    title: 'CRI-O',
    files: [...registryFiles(place), ...loginFile(place, '/var/lib/kubelet/config.json')],
    commands: ['systemctl reload crio'],
    notes: [
      ...commonNotes(place),
      'CRI-O shows the mirror no pull secrets of pods.',
      ...(place.login
        ? ['If crio.conf has a global_auth_file, the login belongs into that file.']
        : []),
    ],
  }
}

function commonNotes({ fallback }: MirrorPlace): string[] {
  return [
    'Where another file of registries.conf.d has an entry with the same prefix, the file whose name comes last counts.',
    fallback
      ? 'What the mirror refuses or does not have is asked of the registry itself, but not a layer after its manifest.'
      : 'The mirror is the location of each registry, so that nobody else is asked. Names of images stay as they are.',
  ]
}

function loginNotes({ host, login }: MirrorPlace, program: string): string[] {
  if (login === undefined) return []
  return [
    `Who has logged in to anything with ${program} has a file of logins for the session, which goes before ${AUTH_JSON}: there, ${program} login -u ${shellWord(login.username)} ${host}.`,
  ]
}

export function registryFiles(place: MirrorPlace, root = '/etc/containers'): ClientFile[] {
  const { host, upstreams } = place
  const file = tomlFile(
    `${root}/registries.conf.d/50-entrepot.conf`,
    upstreams.flatMap((upstream) => tablesFor(place, upstream)),
    { where: 'last', check: (theirs) => refuseSamePrefix(theirs, upstreams) },
  )
  return [file, ...caFile(place, `${root}/certs.d/${host}/ca.crt`)]
}

function tablesFor(place: MirrorPlace, upstream: string): TomlTable[] {
  const insecure = place.isPlainHttp ? [{ key: 'insecure', value: true }] : []
  const mirror = [{ key: 'location', value: prefixed(place, upstream) }, ...insecure]
  const prefix = { key: 'prefix', value: upstream }
  if (!place.fallback) return [{ path: ['registry'], listed: true, keys: [prefix, ...mirror] }]
  return [
    { path: ['registry'], listed: true, keys: [prefix, { key: 'location', value: upstream }] },
    { path: ['registry', 'mirror'], listed: true, keys: mirror },
  ]
}

/** Two entries with one prefix in a file make the whole file invalid. */
function refuseSamePrefix(theirs: Table, upstreams: readonly string[]): void {
  const registries = Array.isArray(theirs['registry']) ? (theirs['registry'] as unknown[]) : []
  const prefixes = registries.filter(isTable).map(({ prefix, location }) => prefix ?? location)
  const found = upstreams.find((upstream) => prefixes.includes(upstream))
  if (found === undefined) return
  throw new FormatError(
    `it has an entry for ${found} already; take that out, or add the mirror to it by hand`,
  )
}
