/** How much is kept, for how long, and how it is looked after. */
import { InvalidValue } from './problem.ts'
import type { Config } from './schema.ts'
import type { Section } from './section.ts'
import type { FileShape } from './shape.ts'
import { parseAge, parseBudget, parseRate, parseSize } from './units.ts'

type DiskConfig = Pick<Config, 'budget' | 'lowWatermark' | 'maxUnused' | 'minFree' | 'scrubRate'>

/** Room for the catalog, its log and the system's own needs. */
export const DEFAULT_MIN_FREE = 64 * 2 ** 20
/** A terabyte in a day and a half, at a few per cent of what a disk can read. */
export const DEFAULT_SCRUB_RATE = 8 * 2 ** 20

/** Emptying a tenth at once makes evictions rare, and spares what was used lately. */
export function defaultLowWatermark(budget: number | undefined): number | undefined {
  return budget === undefined ? undefined : Math.round(budget * 0.9)
}

export function readDisk(file: Section<FileShape>): DiskConfig {
  const budget = file.read('budget', parseBudget)
  return {
    budget,
    lowWatermark: readLowWatermark(file, budget) ?? defaultLowWatermark(budget),
    maxUnused: file.read('maxUnused', parseAge),
    minFree: file.read('minFree', parseSize) ?? DEFAULT_MIN_FREE,
    scrubRate: file.read('scrub', parseRate) ?? DEFAULT_SCRUB_RATE,
  }
}

function readLowWatermark(
  file: Section<FileShape>,
  budget: number | undefined,
): number | undefined {
  const isThere = file.shape.lowWatermark !== undefined
  if (isThere && file.isAbsent('budget')) {
    file.report.add(
      file.at('lowWatermark'),
      'means nothing without budget; add a budget, or remove it',
    )
    return undefined
  }
  return file.read('lowWatermark', (text) => parseLowWatermark(text, budget))
}

/** @param budget `undefined` when it is wrong, so that nothing can be said against it */
function parseLowWatermark(text: string, budget: number | undefined): number {
  const bytes = parseSize(text)
  if (bytes === 0) {
    throw new InvalidValue('would empty the whole store; write for example nine tenths of budget')
  }
  if (budget !== undefined && bytes > budget) {
    throw new InvalidValue('is more than budget; write at most that')
  }
  return bytes
}
