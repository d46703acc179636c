/** What a client needs, for people to read and to copy. */
import type { ClientConfig, ClientFile } from './client-config.ts'

export function describeClient({ title, files, commands, notes }: ClientConfig): string {
  const parts = [
    `${title}\n`,
    ...files.map(describeFile),
    ...(commands.length > 0
      ? [`Then run:\n\n${commands.map((line) => `  ${line}\n`).join('')}`]
      : []),
    ...(notes.length > 0
      ? [`Good to know:\n\n${notes.map((note) => `- ${note}\n`).join('')}`]
      : []),
  ]
  return parts.join('\n')
}

/** Indented, so that it is clear where a file begins and ends. */
function describeFile({ path, mode, onlyIfThere, text }: ClientFile): string {
  const what = onlyIfThere ? ', if it is there; by itself it would be' : ''
  const secret = (mode & 0o077) === 0 ? `, mode ${mode.toString(8)}` : ''
  const lines = text.trimEnd().split('\n')
  return `${path}${secret}${what}:\n\n${lines.map((line) => `  ${line}\n`).join('')}`
}
