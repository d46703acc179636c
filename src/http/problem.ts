/** Errors of the API for operators: application/problem+json (RFC 9457). */
import { STATUS_CODES } from 'node:http'
import type { ControlErrorCode, InvalidField } from '../control/error.ts'

export interface Problem {
  readonly status: number
  /** Says more than the status does; `undefined`: it does not. */
  readonly code?: ControlErrorCode | undefined
  /** For the person who asked: what happened and what to do. */
  readonly detail: string
  /** What is wrong with which part of what was sent. */
  readonly errors?: readonly InvalidField[]
  readonly headers?: Readonly<Record<string, string>>
}

export function problemResponse(problem: Problem): Response {
  const { body, ...rest } = problemAnswer(problem)
  return new Response(body, rest)
}

/** An answer before it is a `Response`, of which nothing can be read without cost. */
export interface ErrorAnswer {
  readonly status: number
  readonly headers: Record<string, string>
  readonly body: string
}

export function problemAnswer(problem: Problem): ErrorAnswer {
  const { status, headers } = problem
  const body = problemBody(problem)
  return {
    status,
    headers: {
      'Content-Type': 'application/problem+json',
      'Content-Length': String(Buffer.byteLength(body)),
      'Cache-Control': 'no-store',
      // RFC 9110 §11.6.1: a 401 has to name a way in.
      ...(status === 401 && { 'WWW-Authenticate': 'Bearer realm="entrepot"' }),
      ...headers,
    },
    body,
  }
}

function problemBody({ status, code, detail, errors }: Problem): string {
  return JSON.stringify({
    type: code === undefined ? 'about:blank' : `urn:entrepot:${code}`,
    title: STATUS_CODES[status],
    status,
    detail,
    ...(errors && errors.length > 0 && { errors }),
  })
}
