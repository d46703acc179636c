/** /log-level */
import { createRoute, z } from '@hono/zod-openapi'
import { LOG_LEVELS } from '../../log.ts'
import type { LogLevelState } from '../../log-level.ts'
import type { HttpContext, HttpDependencies } from '../context.ts'
import * as parts from './parts.ts'

const { answer, answers, sends, PROBLEMS, BODY_PROBLEMS } = parts

/** Whoever looks for something that comes once a month may take it off again. */
const MAX_SECONDS = 31 * 24 * 60 * 60

const level = z.enum(LOG_LEVELS).openapi({ description: 'Least level of lines that are written.' })

const LogLevel = z
  .object({
    level,
    configured: level.openapi({ description: 'What counts when nothing else is said.' }),
    until: z.iso.datetime().nullable().openapi({
      description: 'When that counts again; null: not by itself before the next start.',
    }),
  })
  .openapi('LogLevel')

export function createLogLevelPart(dependencies: HttpDependencies) {
  const { logLevels } = dependencies
  const guard = parts.guards(dependencies)

  const read = createRoute({
    method: 'get',
    path: '/log-level',
    operationId: 'readLogLevel',
    summary: 'From which level on lines are written to the log',
    tags: ['log'],
    middleware: guard.read('log.level'),
    responses: { 200: answers(LogLevel, 'What counts now.'), ...PROBLEMS },
  })

  const set = createRoute({
    method: 'put',
    path: '/log-level',
    operationId: 'setLogLevel',
    summary: 'Write more to the log, or less, in all processes and at once',
    tags: ['log'],
    middleware: guard.write('log.level'),
    request: {
      body: sends(
        z
          .strictObject({
            level,
            forSeconds: z.int().min(1).max(MAX_SECONDS).optional().openapi({
              description: 'Then what is configured counts again; by default at the next start.',
              example: 600,
            }),
          })
          .openapi('NewLogLevel'),
      ),
    },
    responses: { 200: answers(LogLevel, 'What counts now.'), ...PROBLEMS, ...BODY_PROBLEMS },
  })

  const reset = createRoute({
    method: 'delete',
    path: '/log-level',
    operationId: 'resetLogLevel',
    summary: 'Write to the log what is configured',
    tags: ['log'],
    middleware: guard.remove('log.level'),
    responses: { 200: answers(LogLevel, 'What counts now.'), ...PROBLEMS },
  })

  /** Written down first: nothing is changed without an entry. */
  async function record(c: HttpContext, after: object): Promise<void> {
    const { level: before } = await logLevels.state()
    await dependencies.control.recordChange(c.get('caller'), 'log.level', 'log', {
      before: { level: before },
      after,
    })
  }

  return parts
    .createPart()
    .openapi(read, async (c) => answer(c, stateJson(await logLevels.state()), 200))
    .openapi(set, async (c) => {
      const { level: wanted, forSeconds } = c.req.valid('json')
      await record(c, { level: wanted, forSeconds })
      const milliseconds = forSeconds === undefined ? undefined : forSeconds * 1000
      return answer(c, stateJson(await logLevels.set(wanted, milliseconds)), 200)
    })
    .openapi(reset, async (c) => {
      const { configured } = await logLevels.state()
      await record(c, { level: configured })
      return answer(c, stateJson(await logLevels.reset()), 200)
    })
}

function stateJson({ level: now, configured, until }: LogLevelState) {
  const time = until === undefined ? null : new Date(until).toISOString()
  return { level: now, configured, until: time }
}
