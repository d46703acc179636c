/** entrepot verify: check every stored file against its digest, and the catalog against the files. */
import type { OpenMaintenance, VerifyProgress, VerifyReport } from '../maintenance.ts'
import { createPaint, type Paint } from './colour.ts'
import { failWith, type Command, type Io } from './command.ts'
import { readArguments } from './configuration.ts'
import { createMaintenanceLog } from './gc.ts'
import { countText, sizeText, tableText } from './text.ts'

const OPTIONS = { rebuild: 'boolean', json: 'boolean' } as const
/** Bytes between two words about how far it is. */
const PROGRESS_STEP = 10 * 1024 ** 3

export function createVerify(openMaintenance: OpenMaintenance): Command {
  return async function verify(args, io, signal) {
    try {
      const { source, options } = readArguments(args, io.env, OPTIONS)
      const maintenance = await openMaintenance(source.load(), {
        exclusive: true,
        rebuild: options.rebuild === true,
        log: createMaintenanceLog(io),
      })
      try {
        const report = await maintenance.verify({
          signal,
          onProgress: createProgress(io),
        })
        io.out(
          options.json === true
            ? JSON.stringify(report, undefined, 2)
            : toText(report, createPaint(io)),
        )
        return report.damaged.length === 0 ? 0 : 1
      } finally {
        await maintenance.close()
      }
    } catch (error) {
      return failWith(io, error)
    }
  }
}

function createProgress(io: Io): (progress: VerifyProgress) => void {
  let next = PROGRESS_STEP
  return ({ checked, bytes }) => {
    if (bytes < next) return
    next = bytes + PROGRESS_STEP
    io.error(`${countText(checked, 'file')}, ${sizeText(bytes)} checked so far`)
  }
}

function toText(report: VerifyReport, paint: Paint): string {
  const { checked, bytes, damaged, rowsWithoutFiles, filesWithoutRows, rebuilt } = report
  const rows = [
    ['checked', `${countText(checked, 'file')}, ${sizeText(bytes)}`],
    ['damaged', paint(damaged.length === 0 ? 'green' : 'red', String(damaged.length))],
    ['rows without files', `${rowsWithoutFiles}${rowsWithoutFiles > 0 ? ', removed' : ''}`],
    ['files without rows', `${filesWithoutRows}${filesWithoutRows > 0 ? ', entered' : ''}`],
    ...(rebuilt === undefined ? [] : [['rebuilt', rebuiltText(rebuilt)]]),
  ]
  return [tableText(rows), '', ...verdict(damaged)].join('\n')
}

function verdict(damaged: readonly string[]): string[] {
  if (damaged.length === 0) return ['All that is stored is right.']
  return [
    'These were damaged. They are kept aside in "quarantine", and fetched again when they are asked for:',
    ...damaged,
  ]
}

function rebuiltText({ applied, missing, unusable }: NonNullable<VerifyReport['rebuilt']>): string {
  return [
    `${countText(applied, 'line')} of the journal told again`,
    `${countText(missing, 'manifest')} no longer here`,
    `${countText(unusable, 'line')} unusable`,
  ].join(', ')
}
