/** /warm: images into the store, told line by line; the job ends when whoever asked for it leaves. */
import { createRoute, z } from '@hono/zod-openapi'
import { ControlError } from '../../control/error.ts'
import { OciError } from '../../oci/error.ts'
import type { WarmJob } from '../../warm/job.ts'
import { parsePlatforms, PlatformError, type PlatformChoice } from '../../warm/platforms.ts'
import { runWarmJob } from '../../warm/run.ts'
import {
  DEFAULT_CONCURRENCY,
  MAX_CONCURRENCY,
  type ImageSource,
  type TagSource,
} from '../../warm/sources.ts'
import { createTagFilter, TagFilterError } from '../../warm/tag-filter.ts'
import type { HttpContext, HttpDependencies } from '../context.ts'
import { streamEvents } from './event-stream.ts'
import * as fields from './fields.ts'
import * as parts from './parts.ts'

/** A `string`, as the types of the routes take everything that ends in json for JSON. */
const MEDIA_TYPE: string = 'application/x-ndjson'

/** At a time, of each process that serves: each lists tags and holds what it has found. */
const MAX_JOBS = 2
/** Seconds. */
const TRY_AGAIN = 30
/** Milliseconds between two looks at whether the caller is still who they were. */
const LOOK_AGAIN_EVERY = 1000
const MAX_NAMED = 1000
const MAX_SELECTIONS = 100
const MAX_PLATFORMS = 32

const selection = z.strictObject({
  repository: fields.pattern.openapi({ description: 'A repository.', example: 'quay.io/app' }),
  matching: z.string().min(1).max(512).optional().openapi({
    description: 'A regular expression that is found in the tag.',
    example: '^v3\\.',
  }),
  semver: z.string().min(1).max(512).optional().openapi({
    description: 'A range of versions; without it and without `matching`, all tags are meant.',
    example: '>= 3.5, < 4',
  }),
})

const body = parts.sends(
  z
    .strictObject({
      images: z.array(fields.image).max(MAX_NAMED).optional(),
      selections: z.array(selection).max(MAX_SELECTIONS).optional(),
      platforms: z
        .array(z.string().max(100))
        .max(MAX_PLATFORMS)
        .optional()
        .openapi({
          description: 'Of indexes; `all` for all, by default Linux on what the mirror runs on.',
          example: ['linux/amd64'],
        }),
      concurrency: z.int().min(1).max(MAX_CONCURRENCY).optional().openapi({
        description: 'Downloads at a time.',
      }),
      dryRun: z.boolean().optional().openapi({ description: 'Only say what would be fetched.' }),
    })
    .openapi('WarmJob'),
)

const WarmEvent = z
  .looseObject({
    event: z.string().openapi({
      description: 'What has happened; the last one is `summary`.',
      example: 'image-finished',
    }),
  })
  .openapi('WarmEvent')

export function createWarmPart(dependencies: HttpDependencies) {
  const { mirror, metrics } = dependencies
  let running = 0

  const warm = createRoute({
    method: 'post',
    path: '/warm',
    operationId: 'warmImages',
    summary: 'Fetch images before anybody pulls them: one WarmEvent a line, as it happens',
    tags: ['content'],
    middleware: parts.guards(dependencies).write('warm'),
    request: { body },
    responses: {
      200: { description: 'What happens.', content: { [MEDIA_TYPE]: { schema: WarmEvent } } },
      ...parts.PROBLEMS,
      ...parts.BODY_PROBLEMS,
    },
  })

  return parts.createPart().openapi(warm, async (c) => {
    const job = readJob(c.req.valid('json'))
    if (running >= MAX_JOBS) throw tooManyJobs()
    const operator = parts.operatorOf(c, dependencies)
    const isStillWho = createReidentification(c, dependencies)
    running += 1
    try {
      return await streamEvents(c, MEDIA_TYPE, async (stream) => {
        const summary = await runWarmJob(job, {
          mirror,
          async explain(image) {
            await dependencies.control.refresh()
            await isStillWho()
            return operator.explain(image)
          },
          onEvent: (event) => stream.send(event, event.event === 'blob-progress'),
          signal: stream.signal,
        })
        metrics.warmed(summary)
      })
    } finally {
      running -= 1
    }
  })
}

/**
 * A job may last for hours: whoever was removed meanwhile, or has other rights now, is given nothing more.
 * @returns throws where that is so
 */
function createReidentification(
  c: HttpContext,
  { control }: HttpDependencies,
): () => Promise<void> {
  const { principal, address } = c.get('caller')
  let lookedAt = performance.now()
  return async () => {
    if (performance.now() - lookedAt < LOOK_AGAIN_EVERY) return
    const { authorization } = c.env.incoming.headers
    const { credential, principal: now } = await control.identify(authorization, address)
    if (credential === 'rejected' || JSON.stringify(now) !== JSON.stringify(principal)) {
      throw new ControlError('forbidden', 'Your rights were changed meanwhile. Try again.')
    }
    lookedAt = performance.now()
  }
}

type Given = z.infer<(typeof body)['content']['application/json']['schema']>

function readJob({ images = [], selections = [], platforms = [], ...job }: Given): WarmJob {
  const sources: ImageSource[] = [...images.map((image) => ({ image })), ...selections]
  if (sources.length === 0) throw invalid('images', 'Name at least one image or selection.')
  selections.forEach(checkSelection)
  return {
    sources,
    platforms: readPlatforms(platforms),
    concurrency: job.concurrency ?? DEFAULT_CONCURRENCY,
    dryRun: job.dryRun ?? false,
  }
}

function checkSelection(source: TagSource, index: number): void {
  const { matching, semver } = source
  const path = `selections[${index}].${matching === undefined ? 'semver' : 'matching'}`
  if (matching !== undefined && semver !== undefined) {
    throw invalid(path, 'Say matching or semver, not both.')
  }
  try {
    createTagFilter(source)
  } catch (error) {
    if (error instanceof TagFilterError) throw invalid(path, `This ${error.message}.`)
    throw error
  }
}

function readPlatforms(texts: readonly string[]): PlatformChoice {
  try {
    return parsePlatforms(texts)
  } catch (error) {
    if (error instanceof PlatformError) throw invalid('platforms', error.message)
    throw error
  }
}

function invalid(path: string, message: string): ControlError {
  return new ControlError('invalid', `The request is not valid: ${path}: ${message}`, [
    { path, message },
  ])
}

function tooManyJobs(): OciError {
  return new OciError(
    'TOOMANYREQUESTS',
    `There are ${MAX_JOBS} such jobs already. Try again when one of them has ended.`,
    { retryAfter: TRY_AGAIN },
  )
}
