/** Docker Engine, and the older one with mirrors for any registry. */
import type { JsonPart } from '../formats/json.ts'
import { DOCKER_HUB } from '../oci/registry-name.ts'
import type { ClientFile } from './client-config.ts'
import { caFile, jsonFile, loginFile } from './files.ts'
import { hostsFiles } from './hosts-toml.ts'
import { type MirrorPlace, prefixed } from './place.ts'
import type { Recipe } from './recipe.ts'

const DAEMON_JSON = '/etc/docker/daemon.json'
const CERTS_D = '/etc/docker/certs.d'

export function docker(place: MirrorPlace): Recipe {
  const { ca, fallback, host, login, upstreams } = place
  const others = upstreams.filter((upstream) => upstream !== DOCKER_HUB)
  // A hosts.toml of Docker Hub's own says what registry-mirrors cannot: a login, and that there is no other way.
  const withHosts = fallback && login === undefined ? others : upstreams
  return {
    title: 'Docker Engine',
    files: [
      ...daemonFile(place, others),
      ...hostsFiles(place, CERTS_D, withHosts),
      ...caFile(place, `${CERTS_D}/${host}/ca.crt`),
      ...loginFile(place, '~/.docker/config.json'),
    ],
    commands: ['systemctl reload docker'],
    notes: [
      ...hubNotes(place),
      ...(withHosts.length === 0
        ? []
        : [
            `The files hosts.toml count with the containerd image store, the default of new installations from 29 on. With the older store, write the mirror into the name: docker pull ${prefixed(place, others[0] ?? place.firstUpstream)}/NAME:TAG.`,
          ]),
      ...(fallback
        ? ['What the mirror refuses or does not have, docker asks the registry itself for.']
        : [
            'With the older image store docker asks Docker Hub itself where the mirror says no, and no setting forbids it: only a firewall does.',
          ]),
      ...(login === undefined
        ? []
        : [
            'With the older image store docker shows a login only where the mirror is in the name. Where ~/.docker/config.json has a credsStore, that goes first: use docker login there.',
          ]),
      ...(ca === undefined ? [] : [`docker trusts the authority for ${host} alone.`]),
    ],
  }
}

/** Docker Hub's mirror, and that the mirror may be asked by name without TLS. */
function daemonFile(place: MirrorPlace, others: readonly string[]): ClientFile[] {
  const { host, upstreams } = place
  const entries: JsonPart['entries'][number][] = []
  if (upstreams.includes(DOCKER_HUB))
    entries.push({ path: ['registry-mirrors'], value: hubMirror(place) })
  if (isInsecureByName(place, others)) entries.push({ path: ['insecure-registries'], value: host })
  const part: JsonPart = {
    entries,
    traces: [
      { path: ['registry-mirrors'], isOurs: (value) => isAt(host, value) },
      { path: ['insecure-registries'], isOurs: (value) => value === host },
    ],
  }
  return entries.length === 0 ? [] : [jsonFile(DAEMON_JSON, part)]
}

function isInsecureByName(place: MirrorPlace, others: readonly string[]): boolean {
  return place.isPlainHttp && !place.isLoopback && others.length > 0
}

/** Versions up to 24.0.7 take no path, so it is left out where the mirror does without. */
function hubMirror({ defaultUpstream, url }: MirrorPlace): string {
  return defaultUpstream === DOCKER_HUB ? url : `${url}/${DOCKER_HUB}`
}

function hubNotes(place: MirrorPlace): string[] {
  if (!place.upstreams.includes(DOCKER_HUB)) {
    return ['Docker Hub is not mirrored, so there is nothing for registry-mirrors.']
  }
  return place.defaultUpstream === DOCKER_HUB
    ? ['This form of registry-mirrors, without a path, is understood by every version of docker.']
    : [
        'Versions up to 24.0.7 refuse a path in registry-mirrors and do not start. For them the mirror must have "defaultUpstream: docker.io"; the URL has no path then.',
      ]
}

function isAt(host: string, value: unknown): boolean {
  return (
    typeof value === 'string' && (/^https?:\/\/([^/]+)(?:\/.*)?$/.exec(value)?.[1] ?? '') === host
  )
}

export function dockerPatched(place: MirrorPlace): Recipe {
  const { firstUpstream, host, upstreams, url } = place
  // Of Docker Hub the engine can have a mirror in the usual way, too; any other registry needs this one.
  const upstream = upstreams.find((name) => name !== DOCKER_HUB) ?? firstUpstream
  const left = upstreams.filter((name) => name !== upstream)
  const mirrors = ['registries', { key: 'Prefix', is: upstream }, 'Mirrors']
  const part: JsonPart = {
    // Without the slash at the end the engine drops the path.
    entries: [{ path: mirrors, value: { URL: `${url}/${upstream}/` } }],
    traces: [
      {
        path: ['registries', '*', 'Mirrors'],
        isOurs: (value) => isAt(host, (value as { URL?: unknown } | null)?.URL),
      },
    ],
  }
  return {
    title: 'Docker Engine with "registries" in daemon.json',
    files: [
      jsonFile(DAEMON_JSON, part),
      ...caFile(place, `${CERTS_D}/${host}/ca.crt`),
      ...loginFile(place, '~/.docker/config.json'),
    ],
    commands: ['systemctl restart docker'],
    notes: [
      ...left.map(
        (name) =>
          `This engine takes one registry for each name of a mirror. For ${name}, give the mirror another name under "hosts" and run this again with --upstream ${name} and --url of that name.`,
      ),
      'What the mirror refuses or does not have, this engine asks the registry itself for, and no setting forbids it: only a firewall does.',
      ...(place.isPlainHttp
        ? [
            `${host} must not be among insecure-registries: the engine refuses that together with a mirror.`,
          ]
        : []),
      ...(place.login
        ? [
            'The login counts where the mirror is in the name; to a mirror the engine shows that of the registry.',
          ]
        : []),
    ],
  }
}
