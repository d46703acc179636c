/** Lines out of a stream of bytes. */

const MAX_LINE_LENGTH = 2 ** 20

/**
 * The lines that are not empty, each as soon as it is whole.
 * @param maxBytes of all together
 * @throws {Error} when there are more, or a line is longer than a megabyte
 */
export async function* readLines(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncIterable<string> {
  const decoder = new TextDecoder()
  let bytes = 0
  let rest = ''
  for await (const chunk of chunks) {
    bytes += chunk.length
    if (bytes > maxBytes) {
      throw new Error(
        `its answer is longer than ${maxBytes} bytes; ask for less of it, or on the host itself`,
      )
    }
    const lines = decoder.decode(chunk, { stream: true }).split('\n')
    lines[0] = rest + (lines[0] ?? '')
    rest = lines.pop() ?? ''
    if (rest.length > MAX_LINE_LENGTH) throw new Error('a line of its answer has no end')
    for (const line of lines) if (line !== '') yield line
  }
  rest += decoder.decode()
  if (rest !== '') yield rest
}
