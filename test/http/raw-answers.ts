/** Answers as they lie one behind the other on a connection, told apart by what their heads say alone. */

export interface RawMessage {
  readonly status: number
  readonly body: Buffer
}

/**
 * @param text all that came (latin1)
 * @param methods of the requests, in their order
 * @throws when there is less or more than an answer for each
 */
export function readAnswers(text: string, methods: readonly string[]): RawMessage[] {
  let position = 0
  const answers = methods.map((method) => {
    const end = text.indexOf('\r\n\r\n', position)
    const head = text.slice(position, end)
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1])
    const length = /\r\ncontent-length: (\d+)(\r\n|$)/i.exec(head)?.[1]
    if (end < 0 || Number.isNaN(status) || length === undefined) {
      throw new Error(`No answer begins at ${position}: ${text.slice(position, position + 40)}`)
    }
    const start = end + 4
    position = start + (method === 'HEAD' ? 0 : Number(length))
    if (position > text.length) throw new Error(`An answer is short by ${position - text.length}.`)
    return { status, body: Buffer.from(text.slice(start, position), 'latin1') }
  })
  if (position < text.length) throw new Error(`${text.length - position} bytes follow.`)
  return answers
}
