/** entrepot gc: remove what the budget and the age limit no longer allow, or say what that would be. */
import { createLog, type Log } from '../log.ts'
import type { Eviction, OpenMaintenance } from '../maintenance.ts'
import { failWith, type Command, type Io } from './command.ts'
import { readArguments } from './configuration.ts'
import { countText, durationText, sizeText, tableText } from './text.ts'

const OPTIONS = { 'dry-run': 'boolean', json: 'boolean' } as const

export function createGc(openMaintenance: OpenMaintenance): Command {
  return async function gc(args, io) {
    try {
      const { source, options } = readArguments(args, io.env, OPTIONS)
      const dry = options['dry-run'] === true
      // A plan only reads, and so may be made beside a running mirror.
      const maintenance = await openMaintenance(source.load(), {
        exclusive: !dry,
        log: createMaintenanceLog(io),
      })
      try {
        const evictions = await (dry ? maintenance.plan() : maintenance.collect())
        io.out(options.json === true ? toJson(evictions) : toText(evictions, dry, Date.now()))
        return 0
      } finally {
        await maintenance.close()
      }
    } catch (error) {
      return failWith(io, error)
    }
  }
}

/** Standard output is for the result; only trouble is told besides. */
export function createMaintenanceLog(io: Io): Log {
  return createLog({ write: (line) => io.error(line.trimEnd()) }, 'warn')
}

function toJson(evictions: readonly Eviction[]): string {
  return JSON.stringify({ bytes: bytesOf(evictions), evictions }, undefined, 2)
}

function toText(evictions: readonly Eviction[], dry: boolean, now: number): string {
  if (evictions.length === 0) return `Nothing ${dry ? 'would go' : 'had to go'}.`
  const rows = evictions.map(({ digest, size, usedAt, isManifest, because }) => [
    digest,
    isManifest ? 'manifest' : 'blob',
    sizeText(size),
    `${durationText(now - usedAt)} ago`,
    REASONS[because],
  ])
  const total = `${countText(evictions.length, 'file')}, ${sizeText(bytesOf(evictions))}`
  return [
    tableText([['DIGEST', 'KIND', 'SIZE', 'LAST USED', 'WHY'], ...rows]),
    '',
    `${total}: ${dry ? 'would go' : 'gone'}.`,
  ].join('\n')
}

const REASONS: Readonly<Record<Eviction['because'], string>> = {
  budget: 'the store is over its budget',
  unused: 'not used for longer than maxUnused',
  space: 'the disk is nearly full',
}

function bytesOf(evictions: readonly Eviction[]): number {
  return evictions.reduce((sum, { size }) => sum + size, 0)
}
