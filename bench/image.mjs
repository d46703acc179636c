// @ts-check
/**
 * Makes the image that everybody pulls, as files whose paths are those of the registry API, so that
 * a plain file server can serve them too:
 *
 *   <folder>/v2/bench/app/manifests/{v1,sha256:…}
 *   <folder>/v2/bench/app/blobs/sha256:…
 */
import { createHash, randomFillSync } from 'node:crypto'
import { link, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export const REPOSITORY = 'bench/app'
export const TAG = 'v1'
export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'

/**
 * @typedef {object} Blob
 * @property {string} digest
 * @property {number} size bytes
 * @property {string} path of the URL
 * @property {string} file
 *
 * @typedef {object} Image
 * @property {string} folder what a file server serves as its root
 * @property {string} byTag path of the manifest's URL
 * @property {string} byDigest
 * @property {Blob} large
 * @property {Blob} medium
 * @property {Blob} small
 */

/**
 * @param {string} folder
 * @param {import('./arguments.mjs').Sizes} sizes
 * @returns {Promise<Image>}
 */
export async function makeImage(folder, sizes) {
  await mkdir(join(folder, `v2/${REPOSITORY}/blobs`), { recursive: true })
  await mkdir(join(folder, `v2/${REPOSITORY}/manifests`), { recursive: true })
  const config = await storeBlob(folder, Buffer.from('{"architecture":"amd64","os":"linux"}'))
  const small = await storeBlob(folder, randomFillSync(Buffer.alloc(sizes.smallBlob)))
  const medium = await storeBlob(folder, randomFillSync(Buffer.alloc(sizes.mediumBlob)))
  const large = await storeBlob(folder, randomFillSync(Buffer.alloc(sizes.largeBlob)))
  const manifest = Buffer.from(manifestOf(config, [small, medium, large]))
  const byTag = `/v2/${REPOSITORY}/manifests/${TAG}`
  const byDigest = `/v2/${REPOSITORY}/manifests/${digestOf(manifest)}`
  await writeFile(join(folder, byDigest), manifest)
  await link(join(folder, byDigest), join(folder, byTag))
  return { folder, byTag, byDigest, large, medium, small }
}

/** @param {Buffer} bytes */
export function digestOf(bytes) {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/**
 * @param {string} folder
 * @param {Buffer} bytes random ones, so that nothing on the way can compress or share them
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
 * @param {Blob} config
 * @param {Blob[]} layers
 */
function manifestOf(config, layers) {
  const descriptor = (/** @type {string} */ kind, /** @type {Blob} */ { digest, size }) => ({
    mediaType: `application/vnd.oci.image.${kind}`,
    digest,
    size,
  })
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: descriptor('config.v1+json', config),
    layers: layers.map((layer) => descriptor('layer.v1.tar', layer)),
  })
}
