import { InvalidValue } from './problem.ts'

const REFERENCE = /\$\$\{|\$\{([^}]*)\}?/g
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/

/**
 * Puts environment variables where `${NAME}` stands; `$${` becomes a literal `${`. What a variable
 * holds is taken as it is: a `${` in it means nothing.
 * @throws {InvalidValue} when a variable is not set or the reference is malformed; the message never
 *   quotes the text around the name, which may be a password
 */
export function interpolate(text: string, env: NodeJS.ProcessEnv): string {
  const unset = new Set<string>()
  const result = text.replace(REFERENCE, (reference: string, name: string | undefined) => {
    if (name === undefined) return '${'
    if (!reference.endsWith('}') || !VARIABLE.test(name)) {
      throw new InvalidValue(
        'holds a ${ that is not followed by the name of an environment variable and }; write $${ where ${ is meant literally',
      )
    }
    const value = Object.hasOwn(env, name) ? env[name] : undefined
    if (value === undefined) unset.add(name)
    return value ?? ''
  })
  if (unset.size > 0) {
    throw new InvalidValue(
      `uses what the environment does not set: ${[...unset].join(', ')}; set it, or write $\${ where \${ is meant literally`,
    )
  }
  return result
}
