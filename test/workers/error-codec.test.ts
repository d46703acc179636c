import { describe, expect, it } from 'vitest'
import { ControlError } from '../../src/control/error.ts'
import { OciError } from '../../src/oci/error.ts'
import { StorageError, storageFailure } from '../../src/storage-error.ts'
import { UpstreamError } from '../../src/upstream/upstream.ts'
import { decodeError, encodeError } from '../../src/workers/error-codec.ts'
import { deserialize, serialize } from 'node:v8'

/** As it arrives in another process. */
function sent(error: unknown): Error {
  return decodeError(deserialize(serialize(encodeError(error))) as ReturnType<typeof encodeError>)
}

describe('an error that crosses to another process', () => {
  it('is an OciError with all that becomes headers and a body', () => {
    const cause = new UpstreamError('rate-limited', 'too many', { retryAfter: 7, mustWait: true })
    const error = new OciError('TOOMANYREQUESTS', 'Later.', {
      detail: { size: 5, names: ['a', { b: 1 }] },
      retryAfter: 7,
      challenge: 'Basic realm="x"',
      cause,
    })
    const got = sent(error)
    expect(got).toBeInstanceOf(OciError)
    expect(got).toMatchObject({
      name: 'OciError',
      code: 'TOOMANYREQUESTS',
      message: 'Later.',
      detail: { size: 5, names: ['a', { b: 1 }] },
      retryAfter: 7,
      challenge: 'Basic realm="x"',
      stack: error.stack,
    })
    expect(got.cause).toMatchObject({ name: 'UpstreamError', message: 'too many' })
  })

  it('keeps what was not said unsaid', () => {
    const got = sent(new OciError('BLOB_UNKNOWN', 'Not here.'))
    expect(got).toMatchObject({ detail: undefined, retryAfter: undefined, challenge: undefined })
    expect('cause' in got).toBe(false)
  })

  it('is a StorageError with its code, and what the system said as its cause', () => {
    const system = Object.assign(new Error('no space'), { code: 'ENOSPC', errno: -28 })
    const got = sent(storageFailure(system))
    expect(got).toBeInstanceOf(StorageError)
    expect(got).toMatchObject({ code: 'full', message: expect.stringContaining('ENOSPC') })
    expect(got.cause).toMatchObject({ code: 'ENOSPC', errno: -28, message: 'no space' })
  })

  it('is a ControlError with its fields', () => {
    const fields = [{ path: 'pattern', message: 'has two stars' }]
    const got = sent(new ControlError('invalid', 'No.', fields))
    expect(got).toBeInstanceOf(ControlError)
    expect(got).toMatchObject({ code: 'invalid', message: 'No.', fields })
  })

  it('has the name, the words and the facts of any other class', () => {
    const got = sent(new UpstreamError('corrupt', 'wrong bytes', { retryAfter: 3 }))
    expect(got).toMatchObject({
      name: 'UpstreamError',
      message: 'wrong bytes',
      reason: 'corrupt',
      retryAfter: 3,
      mustWait: false,
      blames: 'endpoint',
    })
    expect(sent(new TypeError('odd'))).toMatchObject({ name: 'TypeError', message: 'odd' })
    expect(sent(AbortSignal.abort().reason)).toMatchObject({ name: 'AbortError' })
    expect(sent('a word')).toMatchObject({ name: 'Error', message: 'a word' })
  })

  it('leaves out what cannot be sent, and ends a circle of causes', () => {
    const error = Object.assign(new Error('outer'), {
      socket: new Map(),
      callback: () => undefined,
      deep: { list: [() => undefined] },
      code: 'EX',
    })
    error.cause = error
    let [got, depth]: [unknown, number] = [sent(error), 0]
    expect(Object.keys(got as object)).toEqual(['name', 'code'])
    for (; got instanceof Error; got = got.cause) depth += 1
    expect(depth).toBeLessThan(20)
  })

  it('leaves out data that is a circle', () => {
    const circle: Record<string, unknown> = {}
    circle['itself'] = circle
    const got = sent(Object.assign(new Error('odd'), { circle, code: 'EX' }))
    expect(got).toMatchObject({ message: 'odd', code: 'EX' })
    expect(got).not.toHaveProperty('circle')
  })
})
