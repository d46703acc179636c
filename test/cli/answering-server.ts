/** A small server that answers as a test says, and keeps what it was sent. */
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { createServer as createHttpsServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

export interface Sent {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export interface AnsweringServer {
  readonly url: string
  readonly port: number
  readonly sent: readonly Sent[]
}

export interface Answer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

interface ServerPlace {
  /** A socket file, in place of a port. */
  readonly socket?: string
  readonly tls?: ServerOptions
}

/** @param answer given when the whole request is here */
export async function answering(
  answer: Answer | ((sent: Sent) => Answer),
  place: ServerPlace = {},
): Promise<AnsweringServer> {
  const sent: Sent[] = []
  const listener = async (...[request, response]: Parameters<RequestListener>): Promise<void> => {
    request.on('error', () => undefined)
    response.on('error', () => undefined)
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    const { method = '', url: path = '', headers } = request
    const arrived = { method, path, headers, body: Buffer.concat(chunks).toString() }
    sent.push(arrived)
    const {
      status = 200,
      headers: more,
      body,
    } = typeof answer === 'function' ? answer(arrived) : answer
    response.writeHead(status, more).end(body)
  }
  const wrapped: RequestListener = (request, response) => void listener(request, response)
  const server = place.tls ? createHttpsServer(place.tls, wrapped) : createServer(wrapped)
  const port = await listen(server, place.socket)
  return { url: `http${place.tls ? 's' : ''}://127.0.0.1:${port}`, port, sent }
}

/** Closes it with the test. @returns its port, 0 for a socket file */
export async function listen(server: Server, socket?: string): Promise<number> {
  onTestFinished(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  )
  await new Promise<void>((resolve) => {
    if (socket === undefined) server.listen(0, '127.0.0.1', resolve)
    else server.listen(socket, resolve)
  })
  return socket === undefined ? (server.address() as AddressInfo).port : 0
}
