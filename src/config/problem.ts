/** What is wrong with a configuration, said so that the reader can mend it without looking anything up. */

/** Where in the YAML: keys and list indices, from the top. */
export type Path = readonly (string | number)[]

export interface Problem {
  /** As in `upstreams.quay.io.tagTtl` or `allow[3]`; empty for the file as a whole. */
  readonly path: string
  /** What was found, and what would be right. Never holds a secret. */
  readonly message: string
  /** Counted from 1; absent when the file could not even be read. */
  readonly line?: number
}

/** The configuration cannot be used. The command line shows it and stops; a reload keeps the running rules. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly Problem[]

  constructor(file: string, problems: readonly Problem[]) {
    super(problems.map((problem) => problemLine(file, problem)).join('\n'))
    this.problems = problems
  }
}

/**
 * One value is not what it should be. The message goes on after the value, as in
 * `"5 minutes" ` + `is not a duration; write for example 5m`, and does not repeat it.
 */
export class InvalidValue extends Error {
  override readonly name = 'InvalidValue'
}

export function pathText(path: Path): string {
  let text = ''
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`
    else text += (text === '' ? '' : '.') + (/^[\w.:*-]+$/.test(step) ? step : quote(step))
  }
  return text
}

const MAX_QUOTED_LENGTH = 100

/** A value for a message: on one line, bounded, and without what may be secret in it. */
export function quote(text: string): string {
  const safe = withoutSecrets(text)
  return JSON.stringify(
    safe.length > MAX_QUOTED_LENGTH ? `${safe.slice(0, MAX_QUOTED_LENGTH)}…` : safe,
  )
}

/** Without keys pasted as PEM, hashes of passwords, user information, what URLs are signed with, and all lines but the first. */
function withoutSecrets(text: string): string {
  const lines = text
    .replace(/(-----BEGIN[^-]*-----).*/s, '$1…')
    .replace(/(\$2[abxy]?\$).*/s, '$1…')
    .split(/[\r\n]+/)
  const [first = ''] = lines
  const firstLine = lines.length > 1 ? `${first}…` : first
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(firstLine)?.[0]
  if (scheme === undefined) return firstLine.replace(/^[^/]*:.*@/, '…@')
  const rest = firstLine.slice(scheme.length)
  return `${scheme}${rest.replace(/.*@/, '…@').replace(/\?.*/, '?…')}`
}

function problemLine(file: string, { path, message, line }: Problem): string {
  const place = line === undefined ? file : `${file}:${line}`
  return path === '' ? `${place}: ${message}` : `${place} ${path}: ${message}`
}
