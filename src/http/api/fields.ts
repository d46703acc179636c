/** What callers send, field by field. The use-cases look at what it means; here only at its shape. */
import { z } from '@hono/zod-openapi'
import { ROLES } from '../../access/principal.ts'

/** Longest pattern or image, in characters: registry, repository, tag and digest at their longest fit. */
const NAME_MAX_LENGTH = 1024
/** Longest reason or owner, in characters. */
const TEXT_MAX_LENGTH = 500
/** Far more than anybody waits for content to age: ten years. */
const MIN_AGE_MAX_SECONDS = 10 * 366 * 24 * 60 * 60
const MAX_GRANTS = 100
/** Characters; what is too long for the hash is told by the use-case. */
const PASSWORD_MAX_LENGTH = 1024

export const pattern = z.string().min(1).max(NAME_MAX_LENGTH).openapi({
  description: '`<upstream>/<repository>[:<tag>]`; `*` within a component, `**` across.',
  example: 'docker.io/library/*',
})

export const image = z.string().min(1).max(NAME_MAX_LENGTH).openapi({
  description: 'An image as people write it.',
  example: 'docker.io/library/redis:7',
})

export const text = z.string().max(TEXT_MAX_LENGTH)

export const reason = text.openapi({
  description: 'Why, for people.',
  example: 'The shop runs on it.',
})

/** RFC 3339 with a zone, which becomes milliseconds since the epoch. */
export const time = z.iso
  .datetime({ offset: true, error: 'Must be a time such as 2026-01-31T12:00:00Z.' })
  .transform((iso) => Date.parse(iso))
  .openapi({ type: 'string', format: 'date-time', example: '2026-01-31T12:00:00Z' })

/** Whole seconds, which become milliseconds. */
export const minAgeSeconds = z.int().min(0).max(MIN_AGE_MAX_SECONDS).openapi({
  description: 'Seconds that content must have been known upstream before it is served.',
  example: 259_200,
})

export const effect = z.enum(['allow', 'deny'])

export const password = z
  .string()
  .min(1)
  .max(PASSWORD_MAX_LENGTH)
  .openapi({ format: 'password', writeOnly: true, example: 'correct horse battery' })

export const grants = z
  .array(
    z.strictObject({
      role: z.enum(ROLES),
      pattern: pattern.openapi({
        description: '`<upstream>/<repository>` with stars, and no tag.',
        example: 'quay.io/coreos/**',
      }),
    }),
  )
  .max(MAX_GRANTS)

/** Ids and names stand in paths as they are, so they are of letters that need no escape there. */
const PATH_NAME = /^[A-Za-z0-9._@-]+$/
const RULE_ID = /^[A-Za-z0-9._@:-]+$/
const PATH_NAME_MAX_LENGTH = 128

const NO_NAME = 'Must be of letters, digits and . _ @ - only.'

export const pathName = z.string().max(PATH_NAME_MAX_LENGTH).regex(PATH_NAME, { error: NO_NAME })
export const ruleId = z.string().max(PATH_NAME_MAX_LENGTH).regex(RULE_ID, { error: NO_NAME })
