/** What the system says of connections, in words for people. Pure. */

/** @returns the reason, fit behind a colon */
export function reasonOf(error: unknown): string {
  const known = REASONS.get(codeOf(error))
  if (known !== undefined) return known
  return error instanceof Error && error.message !== '' ? error.message : codeOf(error)
}

export function codeOf(error: unknown): string {
  const { code } = (error ?? {}) as { readonly code?: unknown }
  // Several addresses were tried: the first says it.
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0])
  return typeof code === 'string' ? code : ''
}

const REASONS: ReadonlyMap<string, string> = new Map([
  ['ENOTFOUND', 'there is no such name'],
  ['EAI_AGAIN', 'no name server answers'],
  ['ECONNREFUSED', 'nothing listens there'],
  ['ENOENT', 'there is no such socket file'],
  ['EACCES', 'this user may not use it'],
  ['EHOSTUNREACH', 'there is no way to that host'],
  ['ENETUNREACH', 'there is no way to that network'],
  ['ETIMEDOUT', 'no answer came'],
  ['ECONNRESET', 'the other side closed the connection'],
  ['EPIPE', 'the other side closed the connection'],
])
