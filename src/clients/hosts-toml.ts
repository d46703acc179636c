/** `hosts.toml`, one for each registry: containerd and all that reads its files. */
import { FormatError } from '../formats/format-error.ts'
import { isTable, type Table } from '../formats/same.ts'
import type { TomlTable } from '../formats/toml.ts'
import { DOCKER_HUB } from '../oci/registry-name.ts'
import type { ClientFile } from './client-config.ts'
import { caFile, modeFor, tomlFile } from './files.ts'
import { apiRoot, basicHeader, type MirrorPlace, registryUrl } from './place.ts'

/** Beside the file that names it, so that it is found wherever the folders are. Not `.crt`: docker takes those for the registry's own. */
const CA_NAME = 'entrepot-ca.pem'

/** @param root the folder with one folder for each registry */
export function hostsFiles(
  place: MirrorPlace,
  root: string,
  upstreams = place.upstreams,
): ClientFile[] {
  return upstreams.flatMap((upstream) => {
    const folder = `${root}/${folderOf(upstream)}`
    const hosts = tomlFile(`${folder}/hosts.toml`, tablesFor(place, upstream), {
      where: 'first',
      mode: modeFor(place.login !== undefined),
      ...(place.fallback ? {} : { check: (theirs) => refuseRegistryItself(theirs, upstream) }),
    })
    return [hosts, ...caFile(place, `${folder}/${CA_NAME}`)]
  })
}

/** A colon cannot stand in every path: `registry.lan:5000` is in `registry.lan_5000_`. */
function folderOf(upstream: string): string {
  return upstream.replace(/:(\d+)$/, '_$1_')
}

function tablesFor(place: MirrorPlace, upstream: string): TomlTable[] {
  const { ca, fallback, login } = place
  const mirror = apiRoot(place, upstream)
  const trust = ca === undefined ? [] : [{ key: 'ca', value: CA_NAME }]
  const override = { key: 'override_path', value: true }
  const header = [{ key: 'Authorization', value: login ? [basicHeader(login)] : [] }]
  const server: TomlTable[] = fallback
    ? [{ path: [], keys: [{ key: 'server', value: registryUrl(upstream), yields: 'keep' }] }]
    : [
        {
          path: [],
          keys: [
            { key: 'server', value: mirror, yields: ownServers(upstream) },
            override,
            ...trust,
          ],
        },
        ...(login ? [{ path: ['header'], keys: header }] : []),
      ]
  return [
    ...server,
    {
      path: ['host', mirror],
      // `referrers` makes containerd 1.x refuse the whole file.
      keys: [{ key: 'capabilities', value: ['pull', 'resolve'] }, override, ...trust],
    },
    ...(login ? [{ path: ['host', mirror, 'header'], keys: header }] : []),
  ]
}

function ownServers(upstream: string): string[] {
  const urls = [registryUrl(upstream), `https://${upstream}`]
  if (upstream === DOCKER_HUB) urls.push('https://index.docker.io')
  return urls.flatMap((url) => [url, `${url}/`, url.replace('https://', '')])
}

/** Without a way around the mirror the registry itself must not be among the hosts. */
function refuseRegistryItself(theirs: Table, upstream: string): void {
  const hosts = isTable(theirs['host']) ? Object.keys(theirs['host']) : []
  const own = ownServers(upstream)
  const found = hosts.find((host) => own.some((url) => host === url || host.startsWith(`${url}/`)))
  if (found === undefined) return
  throw new FormatError(
    `it has a host for ${upstream} itself, a way around the mirror; take that out`,
  )
}
