import { OciError, type ErrorCode } from '../../src/oci/error.ts'

/**
 * What the function refuses with; `undefined` when it does not refuse.
 * @throws whatever is not an OciError: nothing else may leave a parser
 */
export function refusal(run: () => unknown): ErrorCode | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    if (error instanceof OciError) return error.code
    throw error
  }
}
