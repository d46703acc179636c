import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createLog, loggable, loggableUrl } from '../src/log.ts'
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
