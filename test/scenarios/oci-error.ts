/** Errors as clients of the registry API read them. */
import { expect } from 'vitest'
import type { ClientResponse } from '../support/client.ts'

export interface ReceivedError {
  readonly code: string
  readonly message: string
}

/** The one error of an answer; fails when the answer is anything else than an OCI error of this status. */
export function expectOciError(answer: ClientResponse, status: number): ReceivedError {
  const { headers, complete, body } = answer
  expect({ status: answer.status, type: headers['content-type'], complete }).toEqual({
    status,
    type: 'application/json',
    complete: true,
  })
  const { errors } = JSON.parse(body.toString()) as { errors: ReceivedError[] }
  expect(errors).toHaveLength(1)
  const [error = { code: '', message: '' }] = errors
  expect(error.message).toMatch(/\S/)
  return error
}
