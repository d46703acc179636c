/** What is fetched at set times, before anybody pulls it. */
import { canonicalRegistry, looksLikeHost } from '../oci/registry-name.ts'
import { parseCron } from './cron.ts'
import { findFile } from './files.ts'
import { InvalidValue } from './problem.ts'
import type { WarmSchedule } from './schema.ts'
import type { Section } from './section.ts'
import type { FileShape, WarmShape } from './shape.ts'
import { parseDuration } from './units.ts'

const DEFAULT_WARM_CONCURRENCY = 4
/** Longer than this a run would miss the next one of the same day. */
const MAX_JITTER = 12 * 60 * 60 * 1000

interface Context {
  /** What relative file names are relative to. */
  readonly folder: string
  /** The configured names; `undefined` when the file does not tell them. */
  readonly upstreams: ReadonlySet<string> | undefined
}

export function readWarm(file: Section<FileShape>, context: Context): readonly WarmSchedule[] {
  return file.items('warm').flatMap((section) => {
    const entry = readEntry(section, context)
    return entry === undefined ? [] : [entry]
  })
}

function readEntry(
  section: Section<WarmShape>,
  { folder, upstreams }: Context,
): WarmSchedule | undefined {
  const schedule = section.require('schedule', 'a cron expression such as "0 3 * * *"', parseCron)
  const images = section.readList('images', (text) => parseImageName(text, upstreams))
  if (section.isAbsent('file') && (section.shape.images ?? []).length === 0) {
    section.report.add(section.path, 'names no image; write images, or file with a list of them')
  }
  const entry = {
    timeZone: section.read('timeZone', parseTimeZone),
    jitter: section.read('jitter', parseJitter) ?? 0,
    images,
    file: section.read('file', (name) => findFile(folder, name)),
    platforms: section.readList('platforms', parsePlatform),
    concurrency: section.shape.concurrency ?? DEFAULT_WARM_CONCURRENCY,
  }
  return schedule === undefined ? undefined : { schedule, ...entry }
}

/** Looked at for what is wrong for sure; what it means is found out when it is fetched. */
function parseImageName(text: string, upstreams: ReadonlySet<string> | undefined): string {
  if (text.includes('*')) {
    throw new InvalidValue(
      'has a star: write one image here, and use file with a list for the tags that match something',
    )
  }
  if (!/^[a-zA-Z0-9][\w./:@-]{0,1023}$/.test(text) || text.includes('://')) {
    throw new InvalidValue('is not an image; write for example docker.io/library/redis:7')
  }
  const [first = ''] = text.split('/')
  const registry = canonicalRegistry(first)
  const isNamed = text.includes('/') && looksLikeHost(first)
  if (isNamed && upstreams?.has(registry) === false) {
    throw new InvalidValue('begins with what is not under "upstreams"; add it there')
  }
  return text
}

function parseTimeZone(text: string): string {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions().timeZone
  } catch {
    throw new InvalidValue('is not a time zone; write for example Europe/Berlin, or UTC')
  }
}

function parseJitter(text: string): number {
  const milliseconds = parseDuration(text)
  if (milliseconds > MAX_JITTER) throw new InvalidValue('is too long; write at most 12h')
  return milliseconds
}

function parsePlatform(text: string): string {
  if (text === 'all' || /^[a-z0-9]+\/[a-z0-9_]+(?:\/[a-z0-9.]+)?$/.test(text)) return text
  throw new InvalidValue('is not a platform; write for example linux/amd64, or all')
}
