/** /audit: one entry a line, as they are read, however many there are. */
import { pipeline } from 'node:stream/promises'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { createRoute, z } from '@hono/zod-openapi'
import type { Operator } from '../../control/operator.ts'
import type { HttpContext, HttpDependencies } from '../context.ts'
import * as fields from './fields.ts'
import { auditJson } from './json.ts'
import * as parts from './parts.ts'
import { AuditEntry } from './resources.ts'

/** A `string`, as the types of the routes take everything that ends in json for JSON. */
const MEDIA_TYPE: string = 'application/x-ndjson'

export function createAuditPart(dependencies: HttpDependencies) {
  const read = createRoute({
    method: 'get',
    path: '/audit',
    operationId: 'readAudit',
    summary: 'Who changed what, and when: one AuditEntry a line, the oldest first',
    tags: ['audit'],
    middleware: parts.guards(dependencies).read('audit.read'),
    request: { query: z.strictObject({ since: fields.time.optional() }) },
    responses: {
      200: { description: 'The entries.', content: { [MEDIA_TYPE]: { schema: AuditEntry } } },
      ...parts.PROBLEMS,
    },
  })

  return parts.createPart().openapi(read, async (c) => {
    const lines = toLines(parts.operatorOf(c, dependencies).audit(c.req.valid('query')), c)
    // Before the status is sent, so that a refusal is an answer of its own.
    const first = await lines.next()
    const headers = { 'Content-Type': MEDIA_TYPE }
    if (c.req.method === 'HEAD') {
      await lines.return(undefined)
      return new Response(null, { headers })
    }
    c.env.outgoing.writeHead(200, headers)
    await send(c, startingWith(first, lines))
    // Where the client had left before the first line, nobody has asked for more, nor said to stop.
    await lines.return(undefined)
    return RESPONSE_ALREADY_SENT
  })
}

type Entries = ReturnType<Operator['audit']>

async function* toLines(entries: Entries, c: HttpContext): AsyncGenerator<string, undefined> {
  const trace = c.get('trace')
  for await (const entry of entries) {
    const line = `${JSON.stringify(auditJson(entry))}\n`
    trace.bytes += Buffer.byteLength(line)
    yield line
  }
}

async function* startingWith<T>(
  first: IteratorResult<T, undefined>,
  rest: AsyncGenerator<T, undefined>,
): AsyncGenerator<T, undefined> {
  if (first.done === true) return
  yield first.value
  yield* rest
}

/**
 * Reads on when the client has taken what was read, and stops with it. Never throws: where an entry cannot
 * be read, the answer breaks off, so that nobody takes it for the whole.
 */
async function send(c: HttpContext, lines: AsyncGenerator<string>): Promise<void> {
  try {
    await pipeline(lines, c.env.outgoing)
  } catch (error) {
    c.get('trace').failure = error
    c.env.outgoing.destroy()
  }
}
