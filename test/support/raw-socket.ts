/** Bytes to a server and bytes back, for what no HTTP client would send. */
import { connect } from 'node:net'

export interface RawAnswer {
  /** All that came, byte for byte (latin1). */
  readonly text: string
  /** Whether the server closed the connection before the deadline. */
  readonly closed: boolean
}

export interface RawRequest {
  /** Where the server listens, e.g. `http://127.0.0.1:5000`. */
  readonly url: string
  /** Sent as they are, one after the other. */
  readonly send: string | Uint8Array | readonly (string | Uint8Array)[]
  /** Collecting stops as soon as the answer so far satisfies this. */
  readonly enough?: (text: string) => boolean
  readonly deadlineMs?: number
}

/** Collects the answer until the server closes, there is enough, or the deadline has come. */
export async function exchangeRaw({
  url,
  send,
  enough = () => false,
  deadlineMs = 2000,
}: RawRequest): Promise<RawAnswer> {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port) })
  const chunks: Buffer[] = []
  const textSoFar = (): string => Buffer.concat(chunks).toString('latin1')
  let deadline: NodeJS.Timeout | undefined
  try {
    return await new Promise<RawAnswer>((resolve) => {
      const finish = (closed: boolean): void => resolve({ text: textSoFar(), closed })
      deadline = setTimeout(() => finish(false), deadlineMs)
      socket.once('close', () => finish(true))
      // A reset closes as well; what came before it is the answer.
      socket.on('error', () => undefined)
      socket.on('data', (chunk) => {
        chunks.push(chunk)
        if (enough(textSoFar())) finish(false)
      })
      for (const bytes of [send].flat()) socket.write(bytes)
    })
  } finally {
    clearTimeout(deadline)
    socket.destroy()
  }
}

/** The body of a raw answer whose framing is not of interest: all after the empty line. */
export function rawBody({ text }: RawAnswer): string {
  return text.slice(text.indexOf('\r\n\r\n') + 4)
}
