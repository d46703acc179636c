/** Chance that can be repeated: each proof prints its seed, and `ENTREPOT_SEED` gives it one. */

/** Hours instead of seconds: `ENTREPOT_PROOFS=long`. */
export const LONG = process.env['ENTREPOT_PROOFS'] === 'long'

export interface Chance {
  readonly seed: number
  /** At least 0, less than 1. */
  next(): number
  /** An integer of at least `from` and less than `to`. */
  between(from: number, to: number): number
  /** @throws when there is nothing to choose from */
  oneOf<T>(choices: readonly T[]): T
}

/** @param proof what the seed is for, as it is printed */
export function openChance(proof: string): Chance {
  const given = process.env['ENTREPOT_SEED']
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given)
  process.stdout.write(`${proof}: ENTREPOT_SEED=${seed}\n`)
  return createChance(seed)
}

/** The generator is mulberry32. */
function createChance(seed: number): Chance {
  let state = seed
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const between = (from: number, to: number): number => from + Math.floor(next() * (to - from))
  return {
    seed,
    next,
    between,
    oneOf(choices) {
      if (choices.length === 0) throw new Error('There is nothing to choose from.')
      return choices[between(0, choices.length)] as (typeof choices)[number]
    },
  }
}
