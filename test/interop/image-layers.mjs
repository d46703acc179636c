/** Layers of container images: a tar archive with a few files, compressed as registries store it. */

import { createCipheriv, createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'

/**
 * A layer with one small text file and `size` incompressible bytes; the same name gives the same bytes.
 * `diffId` is the digest of the tar archive, `digest` that of the stored bytes.
 */
export function makeLayer(name, size, compression = 'gzip') {
  const tar = tarArchive([
    { name: `etc/${name}`, content: Buffer.from(`layer ${name}\n`) },
    { name: `opt/${name}`, content: incompressible(name, size) },
  ])
  return compressed(tar, compression)
}

/**
 * A layer of files with `size` incompressible bytes each; the same name gives the same file. Their folder
 * has an entry of its own: podman 4.3, taking a layer in parts, may otherwise lack it for a moment.
 */
export function makeLayerOf(names, size) {
  const files = names.map((name) => ({ name: `opt/${name}`, content: incompressible(name, size) }))
  return compressed(tarArchive([{ name: 'opt/', content: Buffer.alloc(0) }, ...files]), 'gzip')
}

function compressed(tar, compression) {
  const bytes = compression === 'zstd' ? zstdFrame(tar) : gzipSync(tar, { level: 1 })
  return { bytes, digest: sha256(bytes), diffId: sha256(tar), compression }
}

export function sha256(bytes) {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

function incompressible(seed, size) {
  const key = createHash('sha256').update(seed).digest()
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size))
}

const TAR_BLOCK = 512

function tarArchive(files) {
  const parts = files.flatMap(({ name, content }) => [
    tarHeader(name, content.length),
    content,
    Buffer.alloc(-content.length & (TAR_BLOCK - 1)),
  ])
  return Buffer.concat([...parts, Buffer.alloc(2 * TAR_BLOCK)])
}

/** POSIX ustar; numbers are octal text, and the checksum counts its own field as spaces. */
function tarHeader(name, size) {
  const header = Buffer.alloc(TAR_BLOCK)
  const isFolder = name.endsWith('/')
  const octal = (value, offset, digits) =>
    header.write(value.toString(8).padStart(digits, '0'), offset)
  header.write(name, 0)
  octal(isFolder ? 0o755 : 0o644, 100, 7)
  octal(0, 108, 7)
  octal(0, 116, 7)
  octal(size, 124, 11)
  octal(0, 136, 11)
  header.fill(' ', 148, 156)
  header.write(isFolder ? '5' : '0', 156)
  header.write('ustar\x0000', 257)
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    6,
  )
  header[154] = 0
  return header
}

const ZSTD_MAGIC = 0xfd2fb528
/** RFC 8878, 3.1.1.2.4: no block is larger than 128 KiB. */
const ZSTD_BLOCK = 128 * 1024

/**
 * A zstd frame of raw blocks (RFC 8878, 3.1.1): valid, uncompressed. Node 20 has no zstd, and a mirror
 * must not look inside anyway.
 */
function zstdFrame(content) {
  const header = Buffer.alloc(9)
  header.writeUInt32LE(ZSTD_MAGIC, 0)
  header[4] = 0b1010_0000 // single segment, content size in 4 bytes
  header.writeUInt32LE(content.length, 5)
  const parts = [header]
  for (let offset = 0; offset < content.length; offset += ZSTD_BLOCK) {
    const block = content.subarray(offset, offset + ZSTD_BLOCK)
    const isLast = offset + ZSTD_BLOCK >= content.length
    const blockHeader = Buffer.alloc(3)
    blockHeader.writeUIntLE((block.length << 3) | (isLast ? 1 : 0), 0, 3)
    parts.push(blockHeader, block)
  }
  return Buffer.concat(parts)
}
