/** Standard input: what is piped in, and what is typed without being shown. */
import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { createInput, type Input } from '../../src/cli/input.ts'
import { createUsers } from '../../src/cli/users.ts'
import { until, within } from '../support/until.ts'
import { fakeOperator } from './fake-operator.ts'
import { USER } from './operator-samples.ts'
import { configFile } from './config-file.ts'
import { runCommand } from './run-command.ts'

const PASSWORD = 'correct horse'

interface Typed {
  readonly input: Input
  readonly stream: PassThrough
  /** All that was shown. */
  readonly shown: () => string
  /** Whether the terminal itself shows what is typed: not while it is raw. */
  readonly raw: readonly boolean[]
}

/** A terminal that somebody types at. */
function terminal(): Typed {
  const raw: boolean[] = []
  const stream = Object.assign(new PassThrough(), {
    isTTY: true,
    setRawMode: (mode: boolean) => void raw.push(mode),
  })
  let shown = ''
  const prompt = (text: string): void => void (shown += text)
  const input = createInput({ stream: () => stream, isTerminal: () => true, prompt })
  return { input, stream, shown: () => shown, raw }
}

const NEVER = new AbortController().signal

describe('a secret', () => {
  it('is asked for, and never shown', async () => {
    const { input, stream, shown, raw } = terminal()
    const asked = input.askSecrets(['Password: ', 'Again: '], NEVER)
    expect(shown()).toBe('Password: ')
    stream.write(`${PASSWORD}\r`)
    await until(() => shown() === 'Password: \nAgain: ')
    // The second with a letter taken back.
    stream.write(`${PASSWORD}x\u007f\r`)
    expect(await within(asked)).toEqual([PASSWORD, PASSWORD])
    expect(shown()).toBe('Password: \nAgain: \n')
    expect(raw).toEqual([true, false])
    expect(stream.listenerCount('keypress')).toBe(0)
  })

  it('may be pasted for both', async () => {
    const { input, stream, shown } = terminal()
    const asked = input.askSecrets(['1: ', '2: '], NEVER)
    stream.write('one\rtwo\r')
    expect(await within(asked)).toEqual(['one', 'two'])
    expect(shown()).toBe('1: \n2: \n')
  })

  it.each([
    ['Ctrl-C', '\u0003'],
    ['Ctrl-D', '\u0004'],
  ])('is given up with %s', async (_what, key) => {
    const { input, stream, raw } = terminal()
    const asked = input.askSecrets(['Password: '], NEVER)
    stream.write(`half${key}`)
    // With a letter before it, Ctrl-D means something else.
    if (key === '\u0004') stream.write('\u0015\u0004')
    await expect(within(asked)).rejects.toThrow('It was given up.')
    expect(raw.at(-1)).toBe(false)
  })

  it('is given up when the command is to end', async () => {
    const stop = new AbortController()
    const { input, raw } = terminal()
    const asked = input.askSecrets(['Password: '], stop.signal)
    stop.abort()
    await expect(within(asked)).rejects.toThrow('It was given up.')
    const late = terminal().input.askSecrets(['Password: '], stop.signal)
    await expect(within(late)).rejects.toThrow('It was given up.')
    expect(raw.at(-1)).toBe(false)
  })

  it('goes from the terminal to where users are kept, and nowhere else', async () => {
    const { input, stream, shown } = terminal()
    const { open, calls } = fakeOperator({ addUser: async () => USER })
    const args = ['add', 'alice', '--config', configFile().file]
    const running = runCommand(createUsers(open), args, {}, NEVER, undefined, input)
    await until(() => shown() !== '')
    stream.write(`${PASSWORD}\r${PASSWORD}\r`)
    const { code, out, error } = await within(running)
    expect(code).toBe(0)
    expect(calls[1]).toEqual(['addUser', expect.objectContaining({ password: PASSWORD })])
    expect(`${out}${error}${shown()}`).not.toContain(PASSWORD)
    expect(shown()).toContain('Password for alice: ')
  })
})

describe('what is piped in', () => {
  const piped = (stream: PassThrough): Input =>
    createInput({ stream: () => stream, isTerminal: () => false, prompt: () => undefined })

  it('is read to its end', async () => {
    const stream = new PassThrough()
    const read = piped(stream).read(100, NEVER)
    stream.write('one')
    stream.end('two')
    expect(await within(read)).toBe('onetwo')
  })

  it('is not read without end', async () => {
    const stream = new PassThrough()
    const read = piped(stream).read(100, NEVER)
    stream.write('x'.repeat(101))
    await expect(within(read)).rejects.toThrow(/more than the 100 bytes/)
    expect(stream.destroyed).toBe(true)
  })

  it('is not waited for when the command is to end', async () => {
    const stop = new AbortController()
    const read = piped(new PassThrough()).read(100, stop.signal)
    stop.abort()
    await expect(within(read)).rejects.toThrow(/aborted/)
  })
})
