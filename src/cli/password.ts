/** A new password: typed twice, or piped in; never an argument, which everybody on the host can see. */
import { UsageError, type Io } from './command.ts'

export const PASSWORD = { 'password-stdin': 'boolean' } as const

const MAX_BYTES = 4096

/** @throws {UsageError} */
export async function readPassword(
  { input }: Io,
  name: string,
  isPiped: boolean,
  signal: AbortSignal,
): Promise<string> {
  if (isPiped === input.isTerminal) {
    throw new UsageError(
      isPiped
        ? '--password-stdin reads what is piped in; leave it out to be asked for the password'
        : 'There is nobody to be asked for the password: pipe it in, with --password-stdin',
    )
  }
  if (isPiped) return withoutLineBreak(await input.read(MAX_BYTES, signal))
  const prompts = [`Password for ${name}: `, 'The same again: ']
  const [first = '', second] = await input.askSecrets(prompts, signal)
  if (first !== second) throw new UsageError('The two passwords differ: nothing was changed')
  return first
}

/** The one that `echo` puts behind it. */
function withoutLineBreak(text: string): string {
  return text.replace(/\r?\n$/, '')
}
