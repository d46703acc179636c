/** A text of some format could not be read, or could not be changed without harm. */
export class FormatError extends Error {
  override readonly name = 'FormatError'
  /** Counted from 1; `undefined`: it is about the whole. */
  readonly line: number | undefined
  /** Likewise. */
  readonly column: number | undefined

  constructor(message: string, place: { line?: number; column?: number } = {}) {
    super(message)
    this.line = place.line
    this.column = place.column
  }
}
