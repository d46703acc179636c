/** Who a command is, where it asks a mirror: a token out of a file or the environment, never an argument. */
import { readSecret } from '../config/files.ts'
import { InvalidValue, quote } from '../config/problem.ts'
import { UsageError } from './command.ts'
import { isConfidential, type MirrorAddress } from './mirror-address.ts'

const VARIABLE = 'ENTREPOT_TOKEN'

/**
 * @param file what was given as --token-file
 * @returns `undefined` where neither says one
 * @throws {UsageError} also where it would be sent for all to read
 */
export function readToken(
  file: string | undefined,
  env: NodeJS.ProcessEnv,
  address: MirrorAddress,
): string | undefined {
  const token = file === undefined ? env[VARIABLE]?.trim() : readFile(file)
  if (token === undefined || token === '') return undefined
  if (!/^[\u0021-\u007e]{1,4096}$/.test(token)) {
    const origin = file === undefined ? VARIABLE : 'the file of --token-file'
    throw new UsageError(`What is in ${origin} is no token: a token is one word`)
  }
  if (!isConfidential(address)) {
    throw new UsageError(
      `The token is not sent to ${address.name}, as everybody on the way could read it: use https, or run this on the host itself`,
    )
  }
  return token
}

function readFile(name: string): string {
  // What is no file would be shown in the message.
  if (name.startsWith('entp_')) {
    throw new UsageError(
      '--token-file takes the name of a file: a token there is seen by everybody',
    )
  }
  try {
    return readSecret(process.cwd(), name).trim()
  } catch (error) {
    if (!(error instanceof InvalidValue)) throw error
    throw new UsageError(`--token-file ${quote(name)} ${error.message}`, { cause: error })
  }
}
