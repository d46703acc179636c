/** What the operators' use-cases need, and for whom they are made. */
import type { Grant } from '../access/principal.ts'
import type { ControlCatalog } from '../catalog/control-catalog.ts'
import type { Author } from './audit-record.ts'
import type { Caller, ControlSettings } from './control.ts'
import type { Explanation } from './explain.ts'

export interface OperatorDependencies {
  readonly catalog: ControlCatalog
  /** Of this moment. */
  readonly settings: () => ControlSettings
  /** Users of the htpasswd file and what they may do, by name. */
  readonly fileUsers: () => ReadonlyMap<string, readonly Grant[]>
  /** @throws {OciError} where the image makes no sense */
  readonly explain: (image: string) => Promise<Explanation>
  readonly hashPassword: (password: string) => Promise<string>
  /** A sentence; `undefined` when it may be taken. */
  readonly problemOfPassword: (password: string) => string | undefined
  readonly createApiToken: () => {
    readonly id: string
    /** Told once. */
    readonly token: string
    readonly secretHash: string
  }
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

export interface OperatorContext extends OperatorDependencies {
  readonly caller: Caller
}

/** Of a decision that is made now. */
export function authorNow({ caller, now }: OperatorContext): Author {
  return { caller, now: now() }
}
