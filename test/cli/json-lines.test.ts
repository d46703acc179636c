import { describe, expect, it } from 'vitest'
import { readLines } from '../../src/cli/json-lines.ts'

async function lines(chunks: readonly (string | Uint8Array)[], maxBytes = 1000): Promise<string[]> {
  const all: string[] = []
  const bytes = (async function* (): AsyncIterable<Uint8Array> {
    for (const chunk of chunks) yield Buffer.from(chunk as string)
  })()
  for await (const line of readLines(bytes, maxBytes)) all.push(line)
  return all
}

describe('lines of a stream', () => {
  it.each([
    [['a\nb\n'], ['a', 'b']],
    [
      ['a', 'b\n', '\n\nc'],
      ['ab', 'c'],
    ],
    [[], []],
    [['\n'], []],
  ])('of %j are %j', async (chunks, expected) => {
    expect(await lines(chunks)).toEqual(expected)
  })

  it('may be cut within a character', async () => {
    const bytes = Buffer.from('für\nü')
    const single = [...bytes].map((byte) => Uint8Array.of(byte))
    expect(await lines(single)).toEqual(['für', 'ü'])
  })

  it('may be no more than was said, in bytes', async () => {
    expect(await lines(['ü\n', 'ü\n'], 6)).toEqual(['ü', 'ü'])
    await expect(lines(['ü\n', 'ü\n'], 5)).rejects.toThrow(/longer than 5 bytes/)
  })
})
