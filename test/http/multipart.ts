/** Reads `multipart/byteranges` by RFC 2046 and RFC 9110 alone; whatever deviates is an error. */

export interface Part {
  readonly contentType: string
  readonly first: number
  readonly last: number
  /** Bytes of the whole, as the part says. */
  readonly total: number
  readonly bytes: Buffer
}

/** @throws when it is not exactly what it should be, from the first byte to the last */
export function parseMultipart(contentType: string | undefined, body: Buffer): Part[] {
  const boundary = /^multipart\/byteranges; boundary=([A-Za-z0-9]{1,70})$/.exec(
    contentType ?? '',
  )?.[1]
  if (boundary === undefined) throw new Error(`This is no multipart: ${contentType}`)
  const parts: Part[] = []
  let position = expectAt(body, 0, `--${boundary}`)
  while (body.toString('latin1', position, position + 2) === '\r\n') {
    const headEnd = body.indexOf('\r\n\r\n', position)
    if (headEnd < 0) throw new Error(`The part at ${position} has no end of its headers.`)
    const part = parseHead(body.toString('latin1', position + 2, headEnd))
    const start = headEnd + 4
    const end = start + part.last - part.first + 1
    parts.push({ ...part, bytes: body.subarray(start, end) })
    position = expectAt(body, end, `\r\n--${boundary}`)
  }
  const end = expectAt(body, position, '--\r\n')
  if (end !== body.length) throw new Error(`Something follows the end: ${body.length - end} bytes`)
  return parts
}

function parseHead(text: string): Omit<Part, 'bytes'> {
  const fields = new Map(
    text.split('\r\n').map((line) => {
      const [, name = '', value = ''] = /^([\w-]+): (\S.*)$/.exec(line) ?? []
      return [name.toLowerCase(), value] as const
    }),
  )
  const contentType = fields.get('content-type')
  const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(fields.get('content-range') ?? '')
  if (fields.size !== 2 || contentType === undefined || range === null) {
    throw new Error(`These are not the headers of a part: ${JSON.stringify(text)}`)
  }
  const [first = 0, last = 0, total = 0] = range.slice(1).map(Number)
  return { contentType, first, last, total }
}

/** @returns the position behind it */
function expectAt(body: Buffer, position: number, text: string): number {
  const found = body.toString('latin1', position, position + text.length)
  if (found !== text) {
    throw new Error(`At ${position}: ${JSON.stringify(found)} in place of ${JSON.stringify(text)}`)
  }
  return position + text.length
}
