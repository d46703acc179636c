/** Bodies of requests: JSON of the kind that is expected, and no more of it than is looked at. */
import type { Next } from 'hono'
import { ControlError } from '../../control/error.ts'
import type { HttpContext } from '../context.ts'
import { hasBody } from '../message-framing.ts'
import { problemResponse } from '../problem.ts'

/** Bytes (security rule R23). */
const BODY_MAX_BYTES = 64 * 1024
/** Objects and lists within each other (R23). */
const JSON_MAX_DEPTH = 32

const JSON_TYPE = /^application\/json(?:;[ \t]*charset="?utf-8"?)?$/i
/** Would reach behind the object that they are read into. */
const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])
/** Halves of characters and NUL: they do not come back from the catalog as they went in. */
const UNKEEPABLE = /[\0\p{Cs}]/u

/** Reads and checks the body, and leaves it to be read again by the validators. */
export async function requireJsonBody(c: HttpContext, next: Next): Promise<Response | void> {
  if (!JSON_TYPE.test(c.req.header('content-type') ?? '') || c.req.header('content-encoding')) {
    return problemResponse({
      status: 415,
      detail: 'Send the body as Content-Type: application/json, in UTF-8 and not compressed.',
    })
  }
  const bytes = await readBody(c)
  if (bytes === undefined) {
    return problemResponse({
      status: 413,
      detail: `A body may have ${BODY_MAX_BYTES} bytes.`,
    })
  }
  const text = decode(bytes)
  refuseUnsafe(parse(text))
  c.req.raw = new Request(c.req.raw, { method: c.req.method, body: text })
  await next()
}

/** What follows the head of a request without a body may be meant as another request (R27). */
export async function refuseBody(c: HttpContext, next: Next): Promise<void> {
  if (hasBody(c.env.incoming)) throw new ControlError('invalid', 'This request has no body.')
  await next()
}

/** @returns `undefined` as soon as it is too large */
async function readBody(c: HttpContext): Promise<Uint8Array | undefined> {
  if (Number(c.req.header('content-length') ?? 0) > BODY_MAX_BYTES) return undefined
  const chunks: Uint8Array[] = []
  let size = 0
  const reader = c.req.raw.body?.getReader()
  for (let part = await readPart(reader); part; part = await readPart(reader)) {
    size += part.length
    if (size > BODY_MAX_BYTES) return undefined
    chunks.push(part)
  }
  return Buffer.concat(chunks)
}

type BodyReader = ReadableStreamDefaultReader<Uint8Array> | undefined

async function readPart(reader: BodyReader): Promise<Uint8Array | undefined> {
  try {
    return (await reader?.read())?.value
  } catch {
    throw new ControlError('invalid', 'The body of this request did not arrive whole.')
  }
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new ControlError('invalid', 'The body is not in UTF-8.')
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new ControlError('invalid', 'The body is not JSON.')
  }
}

/** @param depth of what is looked at, 1 for the whole */
function refuseUnsafe(value: unknown, depth = 1): void {
  if (typeof value === 'string' && UNKEEPABLE.test(value)) {
    throw new ControlError('invalid', 'The body has text that cannot be kept: NUL or half a pair.')
  }
  if (typeof value !== 'object' || value === null) return
  if (depth > JSON_MAX_DEPTH) {
    throw new ControlError('invalid', `The body is nested deeper than ${JSON_MAX_DEPTH} levels.`)
  }
  for (const [key, inner] of Object.entries(value)) {
    if (FORBIDDEN_KEYS.has(key)) {
      throw new ControlError('invalid', `A field may not be called ${key}.`)
    }
    refuseUnsafe(inner, depth + 1)
  }
}
