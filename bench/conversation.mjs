// @ts-check
/** One connection's questions and answers, whoever moves the bytes. */

/**
 * @typedef {object} Tally of all connections together
 * @property {number} bytes of bodies
 * @property {number} complete
 * @property {number} broken
 * @property {number[]} firstBytes seconds until the headers and the first byte of the body
 *
 * @typedef {'going' | 'complete' | 'broken'} Progress of an answer
 *
 * @typedef {object} Conversation
 * @property {() => Buffer | undefined} ask the next question, if there is one
 * @property {(buffer: Buffer, count: number) => Progress} received takes bytes as they came
 * @property {(count: number) => Progress} dropped takes bytes of a body that nobody saw
 * @property {() => number} missing bytes until the end of the body; 0 while the head is not here
 */

const HEAD_END = '\r\n\r\n'
const LENGTH = /\r\ncontent-length: *(\d+)/i

/**
 * @param {import('./load.mjs').Job} job
 * @param {() => string | undefined} nextPath
 * @param {Tally} tally
 * @param {Buffer | undefined} expected what bodies must consist of
 * @returns {Conversation}
 */
export function createConversation(job, nextPath, tally, expected) {
  const toBuffer = createQuestions(job)
  const status = job.range === undefined ? 'HTTP/1.1 200 ' : 'HTTP/1.1 206 '
  const offset = job.range?.[0] ?? 0
  /** @type {Buffer | undefined} */
  let headSoFar
  let isInHead = true
  let size = 0
  let position = 0
  let asked = 0

  /**
   * @param {Buffer} buffer
   * @param {number} count
   * @returns {Progress}
   */
  function readHead(buffer, count) {
    const bytes = headSoFar
      ? Buffer.concat([headSoFar, buffer.subarray(0, count)])
      : buffer.subarray(0, count)
    const end = bytes.indexOf(HEAD_END)
    headSoFar = end === -1 ? Buffer.from(bytes) : undefined
    if (end === -1) return 'going'
    const head = bytes.latin1Slice(0, end)
    const said = LENGTH.exec(head)?.[1]
    if (!head.startsWith(status) || said === undefined) return 'broken'
    isInHead = false
    size = job.method === 'HEAD' ? 0 : Number(said)
    return readBody(bytes, end + HEAD_END.length)
  }

  /**
   * @param {Buffer} bytes
   * @param {number} start
   * @returns {Progress}
   */
  function readBody(bytes, start) {
    const at = offset + position
    const end = at + bytes.length - start
    const isRight = (expected?.compare(bytes, start, bytes.length, at, end) ?? 0) === 0
    return isRight ? advance(bytes.length - start) : 'broken'
  }

  /**
   * @param {number} count
   * @returns {Progress}
   */
  function advance(count) {
    if (position === 0 && (count > 0 || size === 0)) {
      tally.firstBytes.push((performance.now() - asked) / 1000)
    }
    tally.bytes += count
    position += count
    if (position < size) return 'going'
    return position === size ? 'complete' : 'broken'
  }

  return {
    ask() {
      const path = nextPath()
      if (path === undefined) return undefined
      isInHead = true
      position = 0
      asked = performance.now()
      return toBuffer(path)
    },
    received: (buffer, count) =>
      isInHead ? readHead(buffer, count) : readBody(buffer.subarray(0, count), 0),
    dropped: advance,
    missing: () => (isInHead ? 0 : size - position),
  }
}

/** @param {import('./load.mjs').Job} job */
function createQuestions({ url, method = 'GET', accept, range }) {
  const { host } = new URL(url)
  const rangeLine = range ? `Range: bytes=${range[0]}-${range[1]}\r\n` : ''
  /** @type {Map<string, Buffer>} */
  const known = new Map()
  return (/** @type {string} */ path) => {
    const made = known.get(path)
    if (made !== undefined) return made
    const question = Buffer.from(
      `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nAccept: ${accept ?? '*/*'}\r\n` +
        `User-Agent: bench\r\n${rangeLine}\r\n`,
    )
    known.set(path, question)
    return question
  }
}
