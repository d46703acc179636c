/** The files of clients, each brought up to date and cleaned in the way of its format. */
import { FormatError } from '../formats/format-error.ts'
import { jsonText, type JsonPart, mergeJson, removeJson } from '../formats/json.ts'
import { linesOf, markedText, mergeMarked, removeMarked } from '../formats/marked.ts'
import { mergeToml, type TomlPlace, type TomlTable, tomlText } from '../formats/toml.ts'
import { mergeYaml, type YamlValue, yamlText } from '../formats/yaml-edit.ts'
import type { ClientFile } from './client-config.ts'
import { base64Login, type MirrorPlace } from './place.ts'

/** For everybody, or for the owner alone where there is a secret in it. */
export function modeFor(hasSecret: boolean): number {
  return hasSecret ? 0o600 : 0o644
}

export function tomlFile(
  path: string,
  tables: readonly TomlTable[],
  { mode = 0o644, ...place }: TomlPlace & { readonly mode?: number },
): ClientFile {
  return {
    path,
    mode,
    text: tomlText(tables),
    merge: (existing) => mergeToml(existing, tables, place),
    remove: removeMarked,
  }
}

export function jsonFile(path: string, part: JsonPart, mode = 0o644): ClientFile {
  return {
    path,
    mode,
    text: jsonText(part),
    merge: (existing) => mergeJson(existing, part),
    remove: (existing) => removeJson(existing, part),
  }
}

export function yamlFile(
  path: string,
  part: Readonly<Record<string, Readonly<Record<string, YamlValue>>>>,
  mode = 0o644,
): ClientFile {
  return {
    path,
    mode,
    text: yamlText(part),
    merge: (existing) => mergeYaml(existing, part),
    remove: removeMarked,
  }
}

/** Certificates beside others that are there; readers of PEM skip what stands between them. */
function pemFile(path: string, pem: string): ClientFile {
  const lines = pem.trimEnd().split('\n')
  return {
    path,
    mode: 0o644,
    text: markedText(lines),
    merge: (existing) => {
      return mergeMarked(existing, {
        parse: pemLines,
        plan: (text) => ({
          insertions: [{ at: text.length, lines }],
          value: [...pemLines(text), ...lines],
        }),
      })
    },
    remove: removeMarked,
  }
}

function pemLines(text: string): string[] {
  return linesOf(text)
    .map((line) => line.trimEnd())
    .filter((line) => line !== '' && !line.startsWith('#'))
}

const OWN = '# Written by entrepot client-config.'

/** A file that is nobody else's. */
export function ownFile(path: string, text: string, mode = 0o644): ClientFile {
  const whole = `${OWN}\n${text}`
  return {
    path,
    mode,
    text: whole,
    merge(existing) {
      if (existing === whole || isOwn(existing)) return whole
      throw new FormatError('there is another file of this name; move it away', { line: 1 })
    },
    remove: (existing) => (isOwn(existing) ? undefined : existing),
  }
}

function isOwn(text: string): boolean {
  return text.startsWith(`${OWN}\n`)
}

/** The login of the mirror, where docker and most others look for it; none without a login. */
export function loginFile(place: MirrorPlace, path: string): ClientFile[] {
  const { host, login } = place
  if (login === undefined) return []
  const part: JsonPart = {
    entries: [{ path: ['auths'], member: host, value: { auth: base64Login(login) } }],
    traces: [{ path: ['auths'], isOurs: (_, member) => member === host, verbatim: true }],
  }
  return [jsonFile(path, part, 0o600)]
}

/** Where the mirror's authority has to be; nowhere if clients know it. */
export function caFile({ ca }: MirrorPlace, path: string): ClientFile[] {
  return ca === undefined ? [] : [pemFile(path, ca)]
}
