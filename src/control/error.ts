/** Why an operator's wish was not granted, with a stable code; `http/` and `cli/` decide how it looks. */

/**
 * `invalid` what was given makes no sense, `not-found`, `conflict` it is there already or contradicts what
 * is, `last-admin` nobody could administer the mirror after it, `forbidden`, `unauthenticated`.
 */
export type ControlErrorCode =
  'invalid' | 'not-found' | 'conflict' | 'last-admin' | 'forbidden' | 'unauthenticated'

/** What is wrong with one part of what was given. */
export interface InvalidField {
  /** `pattern`, `grants[0].role` … */
  readonly path: string
  readonly message: string
}

export class ControlError extends Error {
  override readonly name = 'ControlError'
  readonly code: ControlErrorCode
  readonly fields: readonly InvalidField[]

  /** @param message for the operator: what happened and what to do */
  constructor(code: ControlErrorCode, message: string, fields: readonly InvalidField[] = []) {
    super(message)
    this.code = code
    this.fields = fields
  }
}
