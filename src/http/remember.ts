/** Hands answers to the short path, which are then given again without the rest of this folder. */
import { callerOf } from './caller.ts'
import type { HttpContext, HttpDependencies, RepositoryRequest } from './context.ts'
import type { Answered } from './short-path.ts'

export type Remember = (answered: Omit<Answered, 'validUntil'>) => Promise<void>

/** To be made before anything that the answer is made of is looked up. */
export function rememberer(
  c: HttpContext,
  dependencies: HttpDependencies,
  { policy, isOfOneMoment }: RepositoryRequest,
): Remember {
  const { shortPath } = dependencies
  if (shortPath === undefined || !isOfOneMoment) return async () => undefined
  const seen = shortPath.snapshot(policy)
  return async (answered) => {
    const { identity } = await callerOf(c, dependencies)
    const exchange = { ...c.env, trace: c.get('trace') }
    shortPath.remember(exchange, { ...answered, validUntil: identity.validUntil }, seen)
  }
}
