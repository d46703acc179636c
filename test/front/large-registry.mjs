/**
 * A registry with one large blob in every repository, which it makes while it sends it.
 *
 *   node large-registry.mjs HOST PORT BYTES
 *
 * Prints the digest, then serves. Any part of the blob can be asked for (Range). `/sent` says how many bytes of
 * it were sent so far.
 */
import { createCipheriv, createHash } from 'node:crypto'
import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

const [host, port, text] = process.argv.slice(2)
const size = Number(text)
/** Of the cipher, whose key stream the bytes are. */
const BLOCK = 16
const PIECE = Buffer.alloc(256 * 1024)
let sent = 0

/** @param end exclusive */
function* bytes(start, end) {
  const block = Math.floor(start / BLOCK)
  const iv = Buffer.alloc(BLOCK)
  iv.writeBigUInt64BE(BigInt(block), 8)
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 'large'), iv)
  cipher.update(PIECE.subarray(0, start - block * BLOCK))
  for (let at = start; at < end; at += PIECE.length) {
    yield cipher.update(PIECE.subarray(0, Math.min(PIECE.length, end - at)))
  }
}

const hash = createHash('sha256')
for (const piece of bytes(0, size)) hash.update(piece)
const digest = `sha256:${hash.digest('hex')}`

const server = createServer((request, response) => {
  if (request.url === '/sent') {
    response.end(String(sent))
  } else if (!request.url.endsWith(`/blobs/${digest}`)) {
    response.writeHead(404).end()
  } else {
    sendBlob(request, response).catch(() => response.destroy())
  }
})

async function sendBlob({ method, headers }, response) {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? []
  const start = Number(first ?? 0)
  const end = Math.min(size, last ? Number(last) + 1 : size)
  response.writeHead(first === undefined ? 200 : 206, {
    'Accept-Ranges': 'bytes',
    'Content-Length': end - start,
    'Docker-Content-Digest': digest,
    ...(first !== undefined && { 'Content-Range': `bytes ${start}-${end - 1}/${size}` }),
  })
  if (method === 'HEAD') {
    response.end()
    return
  }
  await pipeline(
    Readable.from(bytes(start, end)),
    async function* counted(pieces) {
      for await (const piece of pieces) {
        sent += piece.length
        yield piece
      }
    },
    response,
  )
}

server.listen(Number(port), host, () => void process.stdout.write(`${digest}\n`))
process.once('SIGTERM', () => {
  server.close()
  server.closeAllConnections()
})
