// @ts-check
/**
 * Makes the images that everybody pulls, as files whose paths are those of the registry API, so that
 * a plain file server can serve them too:
 *
 *   <folder>/v2/bench/app/manifests/{v1,layers,sha256:…}
 *   <folder>/v2/bench/app/blobs/sha256:…
 */
import { createHash, randomFillSync } from 'node:crypto'
import { link, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export const REPOSITORY = 'bench/app'
export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'
const MIB = 1024 * 1024

/**
 * @typedef {object} Blob
 * @property {string} digest
 * @property {number} size bytes
 * @property {string} path of the URL
 * @property {string} file
 *
 * @typedef {object} Manifest
 * @property {string} byTag path of the URL
 * @property {string} byDigest
 * @property {number} size bytes
 * @property {Blob[]} blobs config and layers
 *
 * @typedef {Awaited<ReturnType<typeof makeImage>>} Image
 */

/**
 * @param {string} folder what a file server serves as its root
 * @param {import('./sizes.mjs').Sizes} sizes
 * @param {boolean} hasHuge whether a scenario needs the largest blob, which takes seconds to make
 */
export async function makeImage(folder, sizes, hasHuge) {
  await mkdir(join(folder, `v2/${REPOSITORY}/blobs`), { recursive: true })
  await mkdir(join(folder, `v2/${REPOSITORY}/manifests`), { recursive: true })
  const random = (/** @type {number} */ size) => storeBlob(folder, randomBytes(size))
  const config = await storeBlob(folder, Buffer.from('{"architecture":"amd64","os":"linux"}'))
  const tiny = await random(sizes.tinyBlob)
  const small = await random(sizes.smallBlob)
  const medium = await random(sizes.mediumBlob)
  const large = await random(sizes.largeBlob)
  const huge = hasHuge ? await random(sizes.hugeBlob) : undefined
  const all = [config, tiny, small, medium, large, ...(huge ? [huge] : [])]
  const main = await storeManifest(folder, 'v1', all)
  const layers = [config]
  for (const size of sizes.layers) layers.push(await random(size * MIB))
  const layered = await storeManifest(folder, 'layers', layers)
  return { folder, ...main, tiny, small, medium, large, huge, layered }
}

/** @param {Buffer} bytes */
export function digestOf(bytes) {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/**
 * Random bytes, so that nothing on the way can compress or share them.
 * @param {number} size
 */
function randomBytes(size) {
  return randomFillSync(Buffer.allocUnsafe(size))
}

/**
 * @param {string} folder
 * @param {Buffer} bytes
 * @returns {Promise<Blob>}
 */
async function storeBlob(folder, bytes) {
  const digest = digestOf(bytes)
  const path = `/v2/${REPOSITORY}/blobs/${digest}`
  const file = join(folder, path)
  await writeFile(file, bytes)
  return { digest, size: bytes.length, path, file }
}

/**
 * @param {string} folder
 * @param {string} tag
 * @param {Blob[]} blobs the first one is the config
 * @returns {Promise<Manifest>}
 */
async function storeManifest(folder, tag, blobs) {
  const bytes = Buffer.from(manifestOf(blobs))
  const byTag = `/v2/${REPOSITORY}/manifests/${tag}`
  const byDigest = `/v2/${REPOSITORY}/manifests/${digestOf(bytes)}`
  await writeFile(join(folder, byDigest), bytes)
  await link(join(folder, byDigest), join(folder, byTag))
  return { byTag, byDigest, size: bytes.length, blobs }
}

/** @param {Blob[]} blobs */
function manifestOf(blobs) {
  const [config, ...layers] = blobs.map(({ digest, size }, at) => ({
    mediaType: `application/vnd.oci.image.${at === 0 ? 'config.v1+json' : 'layer.v1.tar'}`,
    digest,
    size,
  }))
  return JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST_TYPE, config, layers })
}

/**
 * The same image as distribution keeps it, with the files of the first one linked.
 * @param {Image} image
 * @param {string} root of its storage
 */
export async function layOutAsStorage(image, root) {
  const base = join(root, 'docker/registry/v2')
  const repository = join(base, 'repositories', REPOSITORY)
  const pointTo = async (/** @type {string} */ at, /** @type {string} */ digest) => {
    await mkdir(join(repository, at), { recursive: true })
    await writeFile(join(repository, at, 'link'), digest)
  }
  const keep = async (/** @type {string} */ file, /** @type {string} */ digest) => {
    const hex = digest.slice('sha256:'.length)
    const to = join(base, 'blobs/sha256', hex.slice(0, 2), hex)
    await mkdir(to, { recursive: true })
    await link(file, join(to, 'data')).catch(ignoreExisting)
    return hex
  }
  for (const { byTag, byDigest, blobs } of [image, image.layered]) {
    for (const { digest, file } of blobs) {
      await pointTo(`_layers/sha256/${await keep(file, digest)}`, digest)
    }
    const file = join(image.folder, byDigest)
    const digest = digestOf(await readFile(file))
    const hex = await keep(file, digest)
    const tag = byTag.slice(byTag.lastIndexOf('/') + 1)
    await pointTo(`_manifests/revisions/sha256/${hex}`, digest)
    await pointTo(`_manifests/tags/${tag}/current`, digest)
    await pointTo(`_manifests/tags/${tag}/index/sha256/${hex}`, digest)
  }
}

/** @param {NodeJS.ErrnoException} error */
function ignoreExisting(error) {
  if (error.code !== 'EEXIST') throw error
}
