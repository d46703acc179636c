import { createHmac } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import type { AccessRequest } from '../../src/catalog/control-catalog.ts'
import { createWebhook } from '../../src/control/webhook.ts'
import { createLog } from '../../src/log.ts'
import { until } from '../support/until.ts'

const SECRET = 'a secret of sixteen or more'
const REQUEST: AccessRequest = {
  id: 'r-abcdefghjk',
  user: 'alice',
  address: '10.0.0.1',
  name: 'docker.io/library/redis',
  tag: '7',
  reason: 'rule',
  userAgent: 'docker/27',
  count: 1,
  firstAt: Date.UTC(2026, 0, 2),
  lastAt: Date.UTC(2026, 0, 2),
  state: 'open',
}

describe('the webhook', () => {
  it('is sent a signed message with what was refused', async () => {
    await using receiver = await startReceiver()
    const { webhook, results } = setUp(receiver.url)
    webhook.tell([REQUEST])
    await webhook.idle()
    const [message] = receiver.messages
    expect(JSON.parse(message?.body ?? '')).toMatchObject({
      event: 'access-requested',
      requests: [{ id: 'r-abcdefghjk', name: 'docker.io/library/redis', tag: '7', user: 'alice' }],
    })
    const signature = createHmac('sha256', SECRET)
      .update(message?.body ?? '')
      .digest('hex')
    expect(message?.headers['x-entrepot-signature-256']).toBe(`sha256=${signature}`)
    expect(message?.headers['content-type']).toBe('application/json')
    expect(results).toEqual(['delivered'])
  })

  it('is tried again, and given up after a while', async () => {
    await using receiver = await startReceiver((_, answer) => answer.writeHead(503).end())
    const { webhook, results, logs } = setUp(receiver.url)
    webhook.tell([REQUEST])
    await webhook.idle()
    expect(receiver.messages).toHaveLength(3)
    expect(results).toEqual(['failed'])
    expect(logs.join('')).not.toContain(receiver.url)
  })

  it('is not followed to another place', async () => {
    await using other = await startReceiver()
    await using receiver = await startReceiver((_, answer) =>
      answer.writeHead(307, { Location: other.url }).end(),
    )
    const { webhook, results } = setUp(receiver.url)
    webhook.tell([REQUEST])
    await webhook.idle()
    expect(other.messages).toHaveLength(0)
    expect(results).toEqual(['failed'])
  })

  it('that does not answer holds up nobody, and what is too much is dropped', async () => {
    await using receiver = await startReceiver(() => undefined)
    const { webhook, results } = setUp(receiver.url)
    for (let message = 0; message < 101; message += 1) webhook.tell([REQUEST])
    await until(() => receiver.messages.length === 1)
    expect(results).toEqual(['dropped'])
    await webhook.close()
    expect(receiver.messages).toHaveLength(1)
  })

  it('that is not configured is sent nothing', async () => {
    const { webhook, results } = setUp(undefined)
    webhook.tell([REQUEST])
    await webhook.idle()
    expect(results).toEqual([])
  })
})

function setUp(url: string | undefined) {
  const results: string[] = []
  const logs: string[] = []
  const webhook = createWebhook({
    settings: () => ({ webhook: url === undefined ? undefined : { url, secret: SECRET } }),
    metrics: { notified: (result) => void results.push(result) },
    log: createLog({ write: (line) => void logs.push(line) }),
    now: () => Date.UTC(2026, 0, 2),
    pauses: [1, 1],
  })
  return { webhook, results, logs }
}

interface Message {
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

type Answer = (incoming: IncomingMessage, outgoing: ServerResponse) => unknown

async function startReceiver(answer: Answer = (_, outgoing) => outgoing.writeHead(204).end()) {
  const messages: Message[] = []
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      messages.push({ headers: incoming.headers, body: Buffer.concat(chunks).toString() })
      answer(incoming, outgoing)
    })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    messages,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}
