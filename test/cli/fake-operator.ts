/** Stands in for the operators' use-cases on the data folder, and keeps what was asked of them. */
import type { OpenOperator, Operator } from '../../src/operator.ts'

export interface FakeOperator {
  readonly open: OpenOperator
  /** In order: `open` with the data folder, each method with what it was given, `close`. */
  readonly calls: readonly (readonly unknown[])[]
}

/** @param members what the test does not define must not be called */
export function fakeOperator(members: Partial<Operator>): FakeOperator {
  const calls: unknown[][] = []
  const operator = new Proxy(members as Operator, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name)
      // As a promise is looked for in whatever an async function returns.
      if (name === 'then') return undefined
      if (typeof method !== 'function') throw new Error(`${String(name)} must not be called.`)
      return (...given: unknown[]): unknown => {
        calls.push([name, ...given])
        return Reflect.apply(method, target, given)
      }
    },
  })
  return {
    calls,
    open: async ({ data }) => {
      calls.push(['open', data])
      return { operator, close: async () => void calls.push(['close']) }
    },
  }
}
