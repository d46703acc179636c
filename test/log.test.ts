import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createLog, loggable, loggableUrl } from '../src/log.ts'
import { compileInto } from './catalog/compiled.ts'
import { anyText } from './oci/names.ts'

function logged(write: (log: ReturnType<typeof createLog>) => void, level?: string): string[] {
  const lines: string[] = []
  write(createLog({ write: (line) => void lines.push(line) }, level))
  return lines
}

describe('the log', () => {
  it('has one JSON object a line, with its level in words and its time in ISO 8601', () => {
    const lines = logged((log) => log.warn({ upstream: 'quay.io' }, 'slow'))

    expect(lines).toHaveLength(1)
    expect(lines[0]?.indexOf('\n')).toBe((lines[0]?.length ?? 0) - 1)
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      level: 'warn',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as string,
      upstream: 'quay.io',
      msg: 'slow',
    })
  })

  it('keeps to its level', () => {
    const write = (log: ReturnType<typeof createLog>) => {
      log.debug('detail')
      log.info('event')
    }

    expect(logged(write)).toHaveLength(1)
    expect(logged(write, 'debug')).toHaveLength(2)
    expect(logged(write, 'silent')).toHaveLength(0)
  })

  it.each(['password', 'token', 'authorization', 'cookie', 'access_token', 'secret'])(
    'never shows a %s, however deep it lies',
    (key) => {
      const fields = { [key]: 'hunter2', a: { [key]: 'hunter2', b: { [key]: 'hunter2' } } }

      const [line] = logged((log) => log.error(fields, 'refused'))

      expect(line).not.toContain('hunter2')
      expect(line?.match(/\[Redacted\]/g)).toHaveLength(3)
    },
  )

  it('shows an error with its causes', () => {
    const error = new Error('fill failed', { cause: new Error('ECONNRESET') })

    const [line] = logged((log) => log.warn({ err: error }, 'fill failed'))

    expect(line).toContain('ECONNRESET')
  })
})

describe('lines on standard output', () => {
  let folder = ''
  let compiled = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'entrepot-log-'))
    compiled = await compileInto(folder, 'log.ts')
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it('of one turn come in few writes, each of whole lines, in order', async () => {
    const { numbers, writes } = await logFrom(compiled, 'logSome(0, 500)')
    expect(numbers).toEqual(upTo(500))
    const bytes = writes.reduce((sum, write) => sum + write.bytes, 0)
    expect(writes.length).toBeLessThan(bytes / 3000)
    // More could be mixed with what other processes write.
    expect(Math.max(...writes.map((write) => write.bytes))).toBeLessThanOrEqual(16 * 1024)
    expect(writes.every(({ isWhole }) => isWhole)).toBe(true)
  })

  it('wait for no other turn', async () => {
    const script = `
      logSome(0, 3)
      setImmediate(() => {
        const first = writes.length
        logSome(3, 3)
        setImmediate(() => fs.writeSync(2, JSON.stringify({ seen: [first, writes.length] }) + '\\n'))
      })`
    const { numbers, errors } = await logFrom(compiled, script)
    expect(numbers).toEqual(upTo(6))
    expect(errors).toContain('{"seen":[1,2]}')
  })

  it('are written whole where they are longer than others', async () => {
    const script = `
      logSome(0, 2)
      log.info({ number: 2, long: 'x'.repeat(100_000) }, 'long')
      logSome(3, 2)
      log.info({ number: 5, long: 'é'.repeat(3000) }, 'long')`
    const { numbers, writes } = await logFrom(compiled, script)
    expect(numbers).toEqual(upTo(6))
    expect(writes.every(({ isWhole }) => isWhole)).toBe(true)
  })

  it.each([
    ['ends', '', 0],
    ['exits', 'process.exit(3)', 3],
    ['exits in a later turn', 'setTimeout(() => { logSome(10, 5); process.exit(4) }, 1)', 4],
    ['fails', "throw new Error('on purpose')", 1],
    ['logs while it exits', "process.on('exit', () => logSome(10, 5))", 0],
  ])('are all there when the process %s', async (how, script, code) => {
    const { numbers, exitCode } = await logFrom(compiled, `logSome(0, 10)\n${script}`)
    const isMore = script.includes('logSome')
    expect([how, numbers]).toEqual([how, upTo(isMore ? 15 : 10)])
    expect(exitCode).toBe(code)
  })

  it('are all there for who reads slowly', async () => {
    const script = `
      let number = 0
      const turn = () => {
        logSome(number, 100)
        number += 100
        if (number < 5000) setImmediate(turn)
        else process.exit(0)
      }
      turn()`
    const { numbers, exitCode } = await logFrom(compiled, script, { slowly: true })
    expect(numbers).toEqual(upTo(5000))
    expect(exitCode).toBe(0)
  })
})

describe('loggable', () => {
  it('leaves no control character, and no more than 256 characters', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const safe = loggable(text) ?? ''

        expect(safe).toHaveLength(Math.min(text.length, 256))
        expect(safe.split('').filter(isControl)).toEqual([])
      }),
    )
  })

  it('leaves alone what is harmless', () => {
    expect(loggable('library/nginx:1.27')).toBe('library/nginx:1.27')
    expect(loggable('é – 日本')).toBe('é – 日本')
    expect(loggable('')).toBe('')
    expect(loggable(undefined)).toBeUndefined()
  })

  it('takes the power from what a terminal would obey', () => {
    expect(loggable('\u001b[2Jgone\r\n\u009bforged\u0000\u007f')).toBe('?[2Jgone???forged??')
  })
})

describe('loggableUrl', () => {
  it.each([
    ['https://quay.io/v2/coreos/etcd', 'https://quay.io/v2/coreos/etcd'],
    ['https://cdn.example:8443/layer?X-Amz-Signature=secret', 'https://cdn.example:8443/layer?…'],
    ['https://user:hunter2@registry.lan/v2/', 'https://registry.lan/v2/'],
    ['http://registry.lan/v2/#fragment', 'http://registry.lan/v2/'],
    ['http://registry.lan/v2/?', 'http://registry.lan/v2/'],
  ])('writes %s as %s', (url, text) => {
    expect(loggableUrl(new URL(url))).toBe(text)
  })
})

function isControl(character: string): boolean {
  const code = character.charCodeAt(0)
  return code < 0x20 || (code >= 0x7f && code < 0xa0)
}

interface Logged {
  /** Of the lines, in order. */
  readonly numbers: readonly unknown[]
  readonly writes: readonly { readonly bytes: number; readonly isWhole: boolean }[]
  readonly errors: string
  readonly exitCode: number | null
}

/** What a process does with the log that it has by default. */
function logFrom(compiled: string, script: string, { slowly = false } = {}): Promise<Logged> {
  const program = `
    import fs from 'node:fs'
    const writes = []
    const write = fs.writeSync
    fs.writeSync = (descriptor, data, ...more) => {
      const bytes = Buffer.from(data)
      if (descriptor === 1) writes.push({ bytes: bytes.length, isWhole: bytes.at(-1) === 10 })
      return write(descriptor, data, ...more)
    }
    const { createLog } = await import(${JSON.stringify(compiled)})
    const log = createLog()
    const logSome = (from, count) => {
      for (let number = from; number < from + count; number += 1) log.info({ number }, 'a line')
    }
    process.once('exit', () => write(2, JSON.stringify({ writes }) + '\\n'))
    ${script}`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 20_000,
  })
  let [output, errors] = ['', '']
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    if (!slowly) return
    child.stdout.pause()
    setImmediate(() => child.stdout.resume())
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (exitCode) => {
      const lines = output.split('\n').slice(0, -1)
      const numbers = lines.map((line) => (JSON.parse(line) as { number: number }).number)
      const [, told = '{"writes":[]}'] = /^(\{"writes":.*\})$/m.exec(errors) ?? []
      const { writes } = JSON.parse(told) as Pick<Logged, 'writes'>
      resolve({ numbers, writes, errors, exitCode })
    })
  })
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, at) => at)
