import { describe, expect, it } from 'vitest'
import { errorBody, OciError } from '../../src/oci/error.ts'

describe('OciError', () => {
  it('carries what the wire needs, and its cause for the log only', () => {
    const cause = new Error('ENOENT: /var/lib/secret')
    const error = new OciError('UNAVAILABLE', 'Try later.', { cause, retryAfter: 5 })

    expect(error).toMatchObject({ name: 'OciError', code: 'UNAVAILABLE', retryAfter: 5, cause })
    expect(errorBody(error)).toBe('{"errors":[{"code":"UNAVAILABLE","message":"Try later."}]}')
  })

  it('has no cause where none was given', () => {
    expect(new OciError('UNKNOWN', 'Sorry.')).not.toHaveProperty('cause')
  })
})

describe('errorBody', () => {
  it('is the one shape that every client parses', () => {
    const error = new OciError('NAME_INVALID', 'A "name"\nwith é.', { detail: { name: 'A"' } })

    expect(JSON.parse(errorBody(error))).toEqual({
      errors: [{ code: 'NAME_INVALID', message: 'A "name"\nwith é.', detail: { name: 'A"' } }],
    })
  })
})
