// @ts-check
/** Clients that see every byte: to compare them, to read slowly, or over TLS. */
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'

/** Bytes read from a socket at a time. */
const CHUNK = 1024 * 1024
/** A slow reader reads little at a time, or else it would read in bursts. */
const SLOW_CHUNK = 32 * 1024

/**
 * @param {import('./load.mjs').Job} job
 * @param {readonly import('./conversation.mjs').Conversation[]} conversations
 * @param {import('./conversation.mjs').Tally} tally
 * @returns {Promise<import('./load.mjs').Run>}
 */
export function runOnNode(job, conversations, tally) {
  const buffer = Buffer.alloc(job.bytesPerSecond ? SLOW_CHUNK : CHUNK)
  let started = 0
  let connected = 0
  let unfinished = conversations.length
  return new Promise((resolve, reject) => {
    const clients = conversations.map((conversation) => createClient(conversation))

    /** All connect before the first one asks: the connections are no part of what is measured. */
    function oneMoreIsConnected() {
      connected += 1
      if (connected < clients.length) return
      started = performance.now()
      setTimeout(finish, job.seconds * 1000)
      for (const client of clients) client.ask()
    }

    function finish() {
      resolve({ seconds: (performance.now() - started) / 1000, unfinished })
    }

    /** @param {import('./conversation.mjs').Conversation} conversation */
    function createClient(conversation) {
      let done = false
      const socket = open({ buffer, callback: received })
      socket.once(job.url.startsWith('https:') ? 'secureConnect' : 'connect', oneMoreIsConnected)
      socket.on('error', (error) => (started === 0 ? reject(error) : undefined))
      socket.once('close', () => leave('broken'))

      function ask() {
        const question = conversation.ask()
        if (question === undefined) leave()
        else socket.write(question)
      }

      /**
       * @param {number} count bytes in the shared buffer
       * @returns {boolean} whether to go on reading
       */
      function received(count) {
        if (done) return false
        const progress = conversation.received(buffer, count)
        if (progress === 'broken') leave('broken')
        if (progress === 'complete') {
          tally.complete += 1
          ask()
        }
        return pace(count)
      }

      /** @param {number} count */
      function pace(count) {
        if (job.bytesPerSecond === undefined || done) return true
        setTimeout(() => socket.resume(), (count / job.bytesPerSecond) * 1000)
        return false
      }

      /** @param {'broken'} [reason] */
      function leave(reason) {
        if (done) return
        done = true
        if (reason !== undefined) tally.broken += 1
        socket.destroy()
        unfinished -= 1
        if (unfinished === 0) finish()
      }

      return { ask }
    }
  })

  /** @param {{ buffer: Buffer, callback: (count: number) => boolean }} onread */
  function open(onread) {
    const { protocol, hostname, port } = new URL(job.url)
    const options = { host: hostname, port: Number(port), onread }
    // The certificate is made for this run only.
    return protocol === 'https:'
      ? connectTls({ ...options, rejectUnauthorized: false })
      : connect(options)
  }
}
