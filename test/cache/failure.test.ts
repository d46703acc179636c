import { describe, expect, it } from 'vitest'
import { createStorageTrouble, toClientError } from '../../src/cache/failure.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics, type UpstreamFailure } from '../../src/metrics.ts'
import { OciError } from '../../src/oci/error.ts'
import { StorageError } from '../../src/storage-error.ts'
import { UpstreamError } from '../../src/upstream/upstream.ts'

describe('what upstream did wrong', () => {
  it.each<[UpstreamFailure, 429 | 503, string, number | undefined]>([
    ['not-found', 503, 'BLOB_UNKNOWN', undefined],
    ['unauthorized', 503, 'BLOB_UNKNOWN', undefined],
    ['forbidden', 503, 'BLOB_UNKNOWN', undefined],
    ['rate-limited', 503, 'UNAVAILABLE', 77],
    ['rate-limited', 429, 'TOOMANYREQUESTS', 77],
    ['unavailable', 503, 'UNAVAILABLE', 77],
    ['corrupt', 503, 'UPSTREAM_INVALID', undefined],
  ])('as %s is, where limits are %i, %s', (reason, status, code, retryAfter) => {
    const cause = new UpstreamError(reason, 'What it was.', { retryAfter: 77 })

    expect(toClientError(cause, 'BLOB_UNKNOWN', status)).toMatchObject({ code, retryAfter, cause })
  })

  it('is waited for five seconds where upstream says nothing', () => {
    const cause = new UpstreamError('unavailable', 'What it was.')
    expect(toClientError(cause, 'NAME_UNKNOWN', 503)).toMatchObject({ retryAfter: 5 })
  })

  it.each([new OciError('DENIED', 'No.'), new StorageError('full', 'Full.'), new Error('A bug.')])(
    'is told from other errors, which pass: %s',
    (error) => {
      expect(toClientError(error, 'BLOB_UNKNOWN', 503)).toBe(error)
    },
  )
})

describe('trouble with the storage', () => {
  function underTest() {
    const lines: string[] = []
    const metrics = createMetrics()
    const log = createLog({ write: (line) => void lines.push(line) })
    return { trouble: createStorageTrouble({ metrics, log }), metrics, lines }
  }

  it('is logged, counted and survived', async () => {
    const { trouble, metrics, lines } = underTest()
    const broken = () => Promise.reject(new StorageError('read-only', 'It is mounted read-only.'))

    expect(await trouble.survive(broken())).toBeUndefined()
    expect(await trouble.survivedWrite(broken())).toBe(false)

    const { text } = await metrics.render()
    expect(text).toContain('entrepot_storage_failures_total{failure="read-only"} 2')
    expect(lines).toHaveLength(2)
    expect(lines[0]).toContain('It is mounted read-only.')
  })

  it('is not seen where there is none', async () => {
    const { trouble, lines } = underTest()

    expect(await trouble.survive(Promise.resolve(7))).toBe(7)
    expect(await trouble.survivedWrite(Promise.resolve())).toBe(true)
    expect(lines).toEqual([])
  })

  it('is no excuse for other errors', async () => {
    const { trouble } = underTest()
    const mistake = new TypeError('A bug of ours.')

    await expect(trouble.survive(Promise.reject(mistake))).rejects.toBe(mistake)
    await expect(trouble.survivedWrite(Promise.reject(mistake))).rejects.toBe(mistake)
  })
})
