/**
 * Makes the images of the interop run, without any network.
 *
 *   node make-images.mjs FOLDER UPSTREAM/REPOSITORY:TAG...
 *
 * Each tag has layers of its own, so that it is cold for the client that it is named after, and layers
 * that it shares with other tags, repositories and upstreams. Every image lands in FOLDER/UPSTREAM/REPOSITORY/TAG:
 *   dir/      the form that `skopeo copy dir:` pushes unchanged, manifest lists included
 *   digest    what the tag means
 *   all       every digest of the image: index, manifests, configs, layers
 *   host      those that a client on this machine's platform needs
 *   diff-ids  the uncompressed layers for this platform
 */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeLayer, makeLayerOf, sha256 } from './image-layers.mjs'

const MIB = 1024 * 1024
const OCI = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  gzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  zstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
}
const DOCKER = {
  index: 'application/vnd.docker.distribution.manifest.list.v2+json',
  manifest: 'application/vnd.docker.distribution.manifest.v2+json',
  config: 'application/vnd.docker.container.image.v1+json',
  gzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
}
const HOST_ARCHITECTURE = process.arch === 'x64' ? 'amd64' : process.arch
const OTHER_ARCHITECTURE = HOST_ARCHITECTURE === 'amd64' ? 'arm64' : 'amd64'

const RECIPES = {
  'docker.io/library/busybox': (tag) =>
    multiPlatform(OCI, (architecture) => [
      makeLayer(`busybox-${architecture}`, 300_000),
      makeLayer(`busybox-${architecture}-${tag}`, 2 * MIB),
    ]),
  'quay.io/coreos/etcd': (tag) =>
    singlePlatform(DOCKER, [
      makeLayer('base', 40_000),
      makeLayer('certificates', 200_000),
      makeLayer(`etcd-${tag}`, 20 * MIB),
      makeLayer(`settings-${tag}`, 1_000),
    ]),
  'quay.io/coreos/flannel': () => singlePlatform(DOCKER, [makeLayer('flannel', 100_000)]),
  'registry.suse.com/bci/base': (tag) =>
    multiPlatform(DOCKER, (architecture) => [
      makeLayer(`bci-${architecture}`, MIB),
      makeLayer(`bci-${architecture}-${tag}`, 5_000),
    ]),
  // zstd, save for dockerd: before 23.0 the engine cannot unpack it.
  'registry.suse.com/suse/private': (tag) =>
    singlePlatform(OCI, [
      makeLayer('base', 40_000),
      makeLayer(`private-${tag}`, 300_000, tag.startsWith('dockerd') ? 'gzip' : 'zstd'),
    ]),
  // Files that every tag has lie between those that are its own.
  'slow.test/chunked': (tag) => {
    const files = [1, 2, 3].flatMap((n) => [`${tag}-${n}`, `shared-${n}`])
    return singlePlatform(OCI, [makeLayerOf(files, 2 * MIB)])
  },
  'slow.test/large': (tag) => singlePlatform(OCI, [makeLayer(`large-${tag}`, 24 * MIB)]),
}

const [folder, ...names] = process.argv.slice(2)
for (const name of names) {
  const [, repository, tag] = /^(.+):([^:/]+)$/.exec(name)
  writeImage(join(folder, repository, tag), RECIPES[repository](tag))
}

/** One manifest: `top` is what the tag means, `host` what this platform needs of it. */
function singlePlatform(types, layers) {
  const host = platformImage(types, HOST_ARCHITECTURE, layers)
  return { top: host.manifest, host, platforms: [host] }
}

function multiPlatform(types, layersOf) {
  const platforms = [HOST_ARCHITECTURE, OTHER_ARCHITECTURE].map((architecture) =>
    platformImage(types, architecture, layersOf(architecture)),
  )
  const top = document(types.index, {
    manifests: platforms.map(({ manifest, architecture }) => ({
      ...descriptor(types.manifest, manifest),
      platform: { architecture, os: 'linux' },
    })),
  })
  return { top, host: platforms[0], platforms }
}

function platformImage(types, architecture, layers) {
  const created = '2026-01-01T00:00:00Z'
  const configBytes = Buffer.from(
    JSON.stringify({
      architecture,
      os: 'linux',
      created,
      config: { Cmd: ['/bin/sh'] },
      rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
      history: layers.map(() => ({ created, created_by: 'interop' })),
    }),
  )
  const config = { bytes: configBytes, digest: sha256(configBytes) }
  const manifest = document(types.manifest, {
    config: descriptor(types.config, config),
    layers: layers.map((layer) => descriptor(types[layer.compression], layer)),
  })
  return { architecture, manifest, config, layers }
}

function document(mediaType, content) {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...content }, null, 2))
  return { bytes, digest: sha256(bytes) }
}

function descriptor(mediaType, { bytes, digest }) {
  return { mediaType, size: bytes.length, digest }
}

function writeImage(folder, { top, host, platforms }) {
  const dir = join(folder, 'dir')
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'version'), 'Directory Transport Version: 1.1\n')
  writeFileSync(join(dir, 'manifest.json'), top.bytes)
  for (const { manifest, config, layers } of platforms) {
    if (manifest !== top) writeFileSync(join(dir, `${hex(manifest)}.manifest.json`), manifest.bytes)
    for (const blob of [config, ...layers]) writeFileSync(join(dir, hex(blob)), blob.bytes)
  }
  const write = (name, lines) =>
    writeFileSync(join(folder, name), `${[...new Set(lines)].join('\n')}\n`)
  write('digest', [top.digest])
  write('all', [top.digest, ...platforms.flatMap(digestsOf)])
  write('host', [top.digest, ...digestsOf(host)])
  write(
    'diff-ids',
    host.layers.map((layer) => layer.diffId),
  )
}

function digestsOf({ manifest, config, layers }) {
  return [manifest.digest, config.digest, ...layers.map((layer) => layer.digest)]
}

function hex({ digest }) {
  return digest.slice('sha256:'.length)
}
