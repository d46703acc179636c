/** One line of the matrix: a request, and what everybody is to be answered. */
import type { ClientResponse } from '../../support/client.ts'
import type { AskingCaller } from './callers.ts'
import { may, reachOf, type RoleName } from './reference.ts'
import type { Asked, Place, World } from './world.ts'

export interface Row {
  readonly title: string
  /** Makes what the request uses up; asked again when it was granted. */
  readonly make?: (number: number) => Promise<string>
  /**
   * @param made by `make`
   * @param number another one for each request
   */
  readonly ask: (made: string, number: number) => Omit<Asked, 'authorization'>
  /** The status. */
  readonly expected: (caller: AskingCaller) => number
  /** Whether the body of a granted answer is to hold this text. */
  readonly shows?: { readonly text: string; readonly to: (caller: AskingCaller) => boolean }
  /** It changes something, so that one follows the other. */
  readonly isWrite?: boolean
}

/** A line for each method that a route is asked with. */
export type Rows = (world: World, method: string, place: Place) => readonly Row[]

export interface Need {
  readonly role: RoleName
  /**
   * `place`: what is not theirs is refused; `hidden`: it is as good as not there. `somewhere`: anywhere at
   * all.
   */
  readonly reach: 'somewhere' | 'everywhere' | 'place' | 'hidden'
}

/** @returns the status of a refusal; `undefined`: nothing stands in the way */
export function refusal(
  caller: AskingCaller,
  { role, reach }: Need,
  name: string,
): number | undefined {
  if (caller.credential === 'rejected') return 401
  const patterns = reachOf(caller.rights, role)
  if (patterns.length === 0) return caller.isNamed ? 403 : 401
  switch (reach) {
    case 'somewhere':
      return undefined
    case 'everywhere':
      return patterns.includes('**') ? undefined : 403
    case 'place':
      return may(caller.rights, role, name) ? undefined : 403
    case 'hidden':
      return may(caller.rights, role, name) ? undefined : 404
  }
}

/** The same answer for everybody. */
export function always(status: number, method: string, path: string): Row {
  return {
    title: `${method} ${path}`,
    ask: () => ({ method, path }),
    expected: () => status,
  }
}

/** A served answer that lacks something, or a refused one that has too much. */
export function faultOf(row: Row, caller: AskingCaller, method: string, answer: ClientResponse) {
  const { status, headers, body } = answer
  const expected = row.expected(caller)
  if (status !== expected) return `${status} instead of ${expected}`
  if (status >= 400 && headers['docker-content-digest'] !== undefined) return 'a digest is told'
  if (status === 401 && headers['www-authenticate'] === undefined) return 'there is no way in'
  if (status >= 300 || method === 'HEAD' || row.shows === undefined) return undefined
  const isShown = body.includes(row.shows.text)
  return isShown === row.shows.to(caller)
    ? undefined
    : `${row.shows.text} is ${isShown ? '' : 'not '}shown`
}
