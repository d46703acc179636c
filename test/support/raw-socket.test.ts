import { describe, expect, it } from 'vitest'
import { startRegistry } from '../fakes/registry.ts'
import { exchangeRaw, rawBody } from './raw-socket.ts'
import { serveText } from './serve-text.ts'

describe('exchangeRaw', () => {
  it('sends and collects bytes until the server closes', async () => {
    await using registry = await startRegistry()
    const answer = await exchangeRaw({
      url: registry.url,
      send: ['GET /v2/ HTTP/1.1\r\n', 'host: fake\r\nconnection: close\r\n\r\n'],
    })
    expect(answer.closed).toBe(true)
    expect(answer.text).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(rawBody(answer)).toBe('{}')
  })

  it('stops at the deadline, or when there is enough', async () => {
    await using server = await serveText('hello')
    const late = await exchangeRaw({ url: server.url, send: 'x', deadlineMs: 50 })
    expect(late).toEqual({ text: 'hello', closed: false })
    const enough = await exchangeRaw({
      url: server.url,
      send: 'x',
      enough: (text) => text === 'hello',
      deadlineMs: 60_000,
    })
    expect(enough).toEqual({ text: 'hello', closed: false })
  })
})
