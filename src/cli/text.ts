/** Numbers and tables for people to read. */

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** `1.5 GiB`; exact below a KiB. */
export function sizeText(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`
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

/** Columns as wide as their widest cell, two spaces apart. */
export function tableText(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows) {
    row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)))
  }
  return rows
    .map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '))
    .map((line) => line.trimEnd())
    .join('\n')
}
