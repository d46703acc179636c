/** entrepot audit: who changed what and when, as JSON lines; or whether all of that is as it was written. */
import { brokenLink, type AuditEntry, type OpenOperator } from '../operator.ts'
import { auditJson } from './api-json.ts'
import { UsageError, type Command, type ExitCode } from './command.ts'
import { createAction, createOperatorCommand, type Work } from './operator-command.ts'
import { countText, jsonText } from './text.ts'
import { readSince } from './time-options.ts'

export function createAudit(openOperator: OpenOperator): Command {
  return createOperatorCommand('audit', audit, openOperator)
}

const audit = createAction({
  operands: [],
  options: { since: 'string', verify: 'boolean' },
  prepare({ options, io, signal, now, print }): Work {
    if (options.verify === true) {
      if (options.since !== undefined) {
        throw new UsageError(
          '--verify looks at all of it, from the first entry on: leave --since out',
        )
      }
      return async (operator) => {
        const found = await verify(operator.audit({}), signal)
        print(found, () => verdict(found))
        return found.brokenAt === undefined ? 0 : 1
      }
    }
    const since = options.since === undefined ? undefined : readSince(options.since, now)
    return async (operator): Promise<ExitCode> => {
      for await (const entry of operator.audit({ since })) {
        signal.throwIfAborted()
        io.out(jsonText(auditJson(entry), 0))
      }
      return 0
    }
  },
})

interface Verified {
  /** That are as they were written, from the first on. */
  readonly entries: number
  /** Sequence of the first that is not; `undefined`: none. */
  readonly brokenAt: number | undefined
}

/** Keeps one entry at a time, as there may be many. */
async function verify(entries: AsyncIterable<AuditEntry>, signal: AbortSignal): Promise<Verified> {
  let last: AuditEntry | undefined
  let count = 0
  for await (const entry of entries) {
    signal.throwIfAborted()
    const brokenAt = brokenLink([entry], last)
    if (brokenAt !== undefined) return { entries: count, brokenAt }
    last = entry
    count += 1
  }
  return { entries: count, brokenAt: undefined }
}

function verdict({ entries, brokenAt }: Verified): string {
  const sound = countText(entries, 'entry', 'entries')
  return brokenAt === undefined
    ? `${sound}: all as they were written.`
    : `Entry ${brokenAt} is not as it was written, or some before it are missing; ${sound} before it are sound.`
}
