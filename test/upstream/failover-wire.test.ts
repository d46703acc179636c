import { buffer } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import {
  authorizationsOf,
  createTestUpstream,
  DIGEST,
  patience,
  REPOSITORY,
  serve,
  TAG,
} from './loopback.ts'
import { sendManifest } from './registry.ts'

const USERS = [
  { username: 'one', password: '1' },
  { username: 'two', password: '2' },
]

describe('failover over the wire', () => {
  test('a second endpoint takes over, and the operation counts as done', async () => {
    const second = await serve((_, response) => sendManifest(response))
    const { upstream, seen } = createTestUpstream(['http://127.0.0.1:1', second.url])
    const { digest } = await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(digest).toBe(DIGEST)
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(seen).toMatchObject({ requests: 3, failures: [] })
  })

  test('after a cut in mid-blob the other endpoint is asked for the rest', async () => {
    const first = await serve((_, response) => {
      response.writeHead(200, { 'Content-Length': 10 })
      response.write('0123', () => response.destroy())
    })
    const second = await serve((_, response) => {
      response.writeHead(206, { 'Content-Range': 'bytes 4-9/10' }).end('456789')
    })
    const { upstream } = createTestUpstream([first.url, second.url])
    const blob = await upstream.getBlob(REPOSITORY, DIGEST, { first: 0 }, patience())
    await expect(buffer(blob.body)).rejects.toThrow('closed the connection')
    const rest = await upstream.getBlob(REPOSITORY, DIGEST, { first: 4 }, patience())
    expect((await buffer(rest.body)).toString()).toBe('456789')
    expect(first.requests).toHaveLength(1)
  })

  test('a user who is limited makes room for the next', async () => {
    const basicOf = ({ username, password }: { username: string; password: string }): string =>
      `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
    const [one, two] = USERS.map(basicOf)
    const server = await serve((request, response) => {
      const { authorization } = request.headers
      if (authorization === two) return sendManifest(response)
      if (authorization === one) return response.writeHead(429).end()
      return response.writeHead(401, { 'WWW-Authenticate': 'Basic' }).end()
    })
    const { upstream } = createTestUpstream([server.url], { credentials: USERS })
    await upstream.headManifest(REPOSITORY, TAG, patience())
    await upstream.headManifest(REPOSITORY, TAG, patience())
    expect(authorizationsOf(server)).toEqual([undefined, one, undefined, two, two])
  })
})
