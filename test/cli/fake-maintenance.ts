/** Stands in for the work on the data folder, and keeps what was asked of it. */
import { digestOf } from '../../src/oci/digest.ts'
import type { Eviction, Maintenance, OpenMaintenance } from '../../src/maintenance.ts'

export interface FakeMaintenance {
  readonly open: OpenMaintenance
  /** In order, as `open alone`, `plan`, `close`. */
  readonly calls: readonly string[]
}

/** @param members what the test does not define must not be called */
export function fakeMaintenance(members: Partial<Maintenance>): FakeMaintenance {
  const calls: string[] = []
  const notAsked = (): never => {
    throw new Error('This must not be called.')
  }
  return {
    calls,
    open: async (_config, { exclusive, rebuild }) => {
      const how = exclusive ? 'alone' : 'beside others'
      calls.push(`open ${how}${rebuild === true ? ' to rebuild' : ''}`)
      const { plan = notAsked, collect = notAsked, verify = notAsked } = members
      return {
        plan: () => note('plan', plan()),
        collect: () => note('collect', collect()),
        verify: (options) => note('verify', verify(options)),
        close: async () => void calls.push('close'),
      }
    },
  }

  function note<T>(call: string, result: T): T {
    calls.push(call)
    return result
  }
}

/** @param age milliseconds since the last use */
export function eviction(
  name: string,
  size: number,
  age: number,
  more: Partial<Eviction> = {},
): Eviction {
  const digest = digestOf(Buffer.from(name))
  return { digest, size, usedAt: Date.now() - age, isManifest: false, because: 'budget', ...more }
}
