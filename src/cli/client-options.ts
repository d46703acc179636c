/** What several commands are told of a client: its name, its login, whom it trusts. */
import { CLIENT_NAMES, type ClientName, type MirrorFacts } from '../client-setup.ts'
import { readCertificates, readSecret } from '../config/files.ts'
import { UsageError } from './command.ts'
import { safeText } from './text.ts'

/** @throws {UsageError} when there is none of that name */
export function readClientName(text: string): ClientName {
  const name = CLIENT_NAMES.find((it) => it === text)
  if (name !== undefined) return name
  throw new UsageError(
    `There is no client "${safeText(text)}" here. There are: ${CLIENT_NAMES.join(', ')}.`,
  )
}

/**
 * @param file of PEM certificates
 * @throws {UsageError}
 */
export function readCa(file: string | undefined): string | undefined {
  if (file === undefined) return undefined
  return checked('--ca', file, (name) => readCertificates(process.cwd(), name))
}

interface LoginOptions {
  readonly username?: string | undefined
  readonly 'password-file'?: string | undefined
}

/** @throws {UsageError} when one is given without the other, or the file cannot be read */
export function readLogin({ username, 'password-file': file }: LoginOptions): MirrorFacts['login'] {
  if (username === undefined && file === undefined) return undefined
  if (username === undefined || file === undefined) {
    throw new UsageError('--username and --password-file belong together: give both')
  }
  const password = checked('--password-file', file, (name) => readSecret(process.cwd(), name))
  return { username, password }
}

/** @throws {UsageError} with the sentence that the reader has for such a value */
export function checked<T>(option: string, text: string, read: (text: string) => T): T {
  try {
    return read(text)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new UsageError(`${option} "${safeText(text)}" ${reason}`, { cause: error })
  }
}
