import type { Timeouts } from './schema.ts'
import { Section } from './section.ts'
import type { FileShape, TimeoutsShape, UpstreamShape } from './shape.ts'
import { parseTimeout } from './units.ts'

export const DEFAULT_TIMEOUTS: Timeouts = {
  connect: 5_000,
  firstByte: 20_000,
  idle: 30_000,
  hedge: 1_500,
}

/** What the section says, and for the rest what its surroundings say. */
export function readTimeouts(
  parent: Section<FileShape> | Section<UpstreamShape>,
  defaults: Timeouts,
): Timeouts {
  const { timeouts } = parent.shape
  const section = new Section<TimeoutsShape>(timeouts ?? {}, parent.at('timeouts'), parent.report)
  return {
    connect: section.read('connect', parseTimeout) ?? defaults.connect,
    firstByte: section.read('firstByte', parseTimeout) ?? defaults.firstByte,
    idle: section.read('idle', parseTimeout) ?? defaults.idle,
    hedge: section.read('hedge', parseTimeout) ?? defaults.hedge,
  }
}
