import { describe, expect, test } from 'vitest'
import { networkFailure } from '../../src/upstream/network-failure.ts'
import { UpstreamError } from '../../src/upstream/upstream.ts'

const URL_WITH_SECRETS = new URL('https://user:secret@cdn.test/blob?X-Amz-Signature=secret')

function withCode(code: string): Error {
  return Object.assign(new Error('boom'), { code })
}

describe('networkFailure', () => {
  test.each([
    ['ENOTFOUND', 'cannot be resolved'],
    ['ECONNRESET', 'closed the connection'],
    ['UND_ERR_BODY_TIMEOUT', 'stopped sending'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'name it under "ca"'],
    ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'name it under "ca"'],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'name it under "ca"'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'for another name'],
    ['CERT_HAS_EXPIRED', 'has expired'],
    ['EWHATEVER', 'failed (EWHATEVER)'],
  ])('%s', (code, explanation) => {
    const cause = withCode(code)
    const failure = networkFailure(cause, URL_WITH_SECRETS)
    expect(failure.reason).toBe('unavailable')
    expect(failure.message).toMatch(/^https:\/\/cdn\.test\/blob\?…: /)
    expect(failure.message).toContain(explanation)
    expect(failure.message).not.toContain('secret')
    expect(failure.cause).toBe(cause)
  })

  test.each([
    [new TypeError('boom'), 'failed (TypeError)'],
    [Object.assign(new Error('boom'), { code: 7 }), 'failed (Error)'],
    ['boom', 'failed (unknown error)'],
    [null, 'failed (unknown error)'],
  ])('%s has no code', (error, explanation) => {
    expect(networkFailure(error, URL_WITH_SECRETS).message).toContain(explanation)
  })

  test('an UpstreamError stays what it is', () => {
    const error = new UpstreamError('corrupt', 'too large')
    expect(networkFailure(error, URL_WITH_SECRETS)).toBe(error)
  })
})
