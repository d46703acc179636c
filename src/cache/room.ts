/** How much must go before something is stored. Pure: no clock, no I/O. All figures are bytes. */

export interface DiskLimits {
  /** What the store may take; `undefined`: no limit. */
  readonly budget: number | undefined
  /** Down to this it is emptied once it is over the budget; `undefined`: nine tenths of the budget. */
  readonly lowWatermark: number | undefined
  /** Milliseconds without use after which content goes; `undefined`: never. */
  readonly maxUnused: number | undefined
  /** What is left free on the disk. */
  readonly minFree: number
}

export interface Occupancy {
  /** What the catalog counts. */
  readonly stored: number
  /** What running fills will bring, all of it. */
  readonly reserved: number
  /** What of that is not on disk yet. */
  readonly unwritten: number
  /** What may still be written to the disk; `undefined`: no limit. */
  readonly free: number | undefined
  /** What is to be stored next. */
  readonly size: number
}

/** `required`: else the limit is broken. `wanted`: so that the next need not make room again. */
export interface Demand {
  readonly required: number
  readonly wanted: number
}

const NOTHING: Demand = { required: 0, wanted: 0 }
const DEFAULT_LOW = 0.9
/** Most that is freed on the disk beyond what is missing. */
const MAX_SPARE = 1024 ** 3

/** For the budget. The running fills count in full, as they will soon be stored. */
export function budgetDemand(
  { budget, lowWatermark }: Pick<DiskLimits, 'budget' | 'lowWatermark'>,
  { stored, reserved, size }: Omit<Occupancy, 'free' | 'unwritten'>,
): Demand {
  if (budget === undefined) return NOTHING
  const required = stored + reserved + size - budget
  if (required <= 0) return NOTHING
  const low = lowWatermark ?? Math.floor(budget * DEFAULT_LOW)
  return { required, wanted: Math.max(required, stored + reserved - low) }
}

/** For the disk. It is shared with others, so what is free is counted, not what is ours. */
export function spaceDemand(
  { minFree }: Pick<DiskLimits, 'minFree'>,
  { free, unwritten, size }: Pick<Occupancy, 'free' | 'unwritten' | 'size'>,
): Demand {
  if (free === undefined) return NOTHING
  const required = minFree + unwritten + size - free
  if (required <= 0) return NOTHING
  return { required, wanted: required + Math.min(minFree, MAX_SPARE) }
}
