/** Numbers, times, tables and foreign text for people to read. */
import { sizeText } from '../size-text.ts'

export { sizeText }

/** `12.3 MiB/s` */
export function rateText(bytesPerSecond: number): string {
  return `${sizeText(bytesPerSecond)}/s`
}

/** `41 %`, never more than is there: 100 % is all of it. */
export function shareText(part: number, whole: number): string {
  return `${whole === 0 ? 0 : Math.floor((part / whole) * 100)} %`
}

const SECOND = 1000
const AGES = [
  ['days', 24 * 3600 * SECOND],
  ['hours', 3600 * SECOND],
  ['minutes', 60 * SECOND],
  ['seconds', SECOND],
] as const

/** `3 days`: the largest unit of which there are at least two. */
export function durationText(milliseconds: number): string {
  const [name, length] = AGES.find(([, it]) => milliseconds >= 2 * it) ?? ['seconds', SECOND]
  return `${Math.max(0, Math.round(milliseconds / length))} ${name}`
}

/** `1 blob`, `2 blobs`. */
export function countText(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}

/**
 * Columns as wide as their widest cell, two spaces apart.
 * @param paint gives a cell its colour, which takes no room
 */
export function tableText(
  rows: readonly (readonly string[])[],
  paint: (cell: string, column: number, row: number) => string = (cell) => cell,
): string {
  const widths: number[] = []
  for (const row of rows) {
    row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)))
  }
  return rows
    .map((row, at) => {
      const isLast = (column: number): boolean => row.slice(column + 1).every((it) => it === '')
      return row
        .map((cell, column) => {
          const room = isLast(column) ? 0 : (widths[column] ?? 0) - cell.length
          return `${paint(cell, column, at)}${' '.repeat(Math.max(0, room))}`
        })
        .join('  ')
    })
    .map((line) => line.trimEnd())
    .join('\n')
}

/** `2025-07-01T12:00:00Z`; the options that take a time read it, too. */
export function timeText(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\.\d+Z$/, 'Z')
}

/** `3 days ago` */
export function agoText(milliseconds: number, now: number): string {
  return `${durationText(now - milliseconds)} ago`
}

/** Controls, formatting such as writing from right to left, and line separators. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\u2028\u2029]/gu

/**
 * What somebody else wrote, made fit for one line on a terminal: bounded, and without what would move
 * the cursor or reorder the line (security rule R28).
 */
export function safeText(text: string | undefined, maxLength = 256): string {
  return (text ?? '').slice(0, maxLength).replace(UNPRINTABLE, '?')
}

/** JSON for programs that a terminal can show as well: it means the same, and controls nothing. */
export function jsonText(value: unknown, indent = 2): string {
  return JSON.stringify(value, undefined, indent).replace(UNPRINTABLE, (found) =>
    // Only what sets out the lines is left of these by now.
    found === '\n' ? found : escaped(found),
  )
}

/** By UTF-16 units, as JSON counts. */
function escaped(text: string): string {
  return Array.from({ length: text.length }, (_, at) => text.charCodeAt(at))
    .map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`)
    .join('')
}
