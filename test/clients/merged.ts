/** One file of a client, and what it says when it cannot be brought up to date. */
import type { ClientFile, ClientName, MirrorFacts } from '../../src/clients/client-config.ts'
import { clientConfig } from '../../src/clients/configure.ts'
import { FormatError } from '../../src/formats/format-error.ts'
import { FACTS } from './facts.ts'

export function fileOf(client: ClientName, ending: string, facts: MirrorFacts = FACTS): ClientFile {
  const file = clientConfig(client, facts).files.find(({ path }) => path.endsWith(ending))
  if (file === undefined) throw new Error(`${client} has no file ${ending}.`)
  return file
}

/** What is said, and where. */
export function refusal(act: () => unknown): {
  message: string
  line?: number | undefined
  column?: number | undefined
} {
  try {
    act()
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    const { message, line, column } = error
    return { message, line, column }
  }
  throw new Error('It was not refused.')
}
