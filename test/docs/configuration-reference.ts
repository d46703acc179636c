/** The tables of docs/configuration.md, from the shape of the file and what is said of its keys. */
import { z } from 'zod'
import { REFERENCE, type KeyReference } from '../../src/config/reference.ts'
import { fileShape } from '../../src/config/shape.ts'

interface Page {
  /** The table that stands on the page under a name, e.g. `upstreams`. */
  readonly text: string
  /** Where a link may lead on it. */
  readonly anchors: ReadonlySet<string>
  /** What a change of a key of the top level takes. */
  readonly afterChange: (key: string) => string
}

const TABLE = /(<!-- keys(?: of (\S+))?: made from the schema -->\n\n)(?:\|.*\n)*/g
/** Headings that have not the name of their key. */
const SECTIONS: ReadonlyMap<string, string> = new Map([
  ['allow', 'allow-and-deny'],
  ['deny', 'allow-and-deny'],
  ['credentials', 'secrets'],
])

/** Mappings by the key that they belong to; `` is the top level. */
export const MAPPINGS: ReadonlyMap<string, z.ZodObject> = new Map(mappingsIn('', fileShape))

/** The page with its tables as they should be, not yet aligned. */
export function withTables(page: Page): string {
  return page.text.replace(TABLE, (_, mark: string, name = '') => mark + tableOf(name, page))
}

/** Names of the tables that are on the page. */
export function tablesOn(text: string): string[] {
  return [...text.matchAll(TABLE)].map(([, , name = '']) => name)
}

/** Every key that is said something of, or should be: `upstreams.tagTtl`. */
export function keysOf(mappings: Readonly<Record<string, object>>): string[] {
  return Object.entries(mappings).flatMap(([name, keys]) =>
    Object.keys(keys).map((key) => (name === '' ? key : `${name}.${key}`)),
  )
}

function* mappingsIn(key: string, schema: z.ZodType): Generator<[string, z.ZodObject]> {
  if (schema instanceof z.ZodObject) {
    yield [key, schema]
    for (const [name, member] of Object.entries(schema.shape)) yield* mappingsIn(name, member)
    return
  }
  for (const inner of insideOf(schema)) yield* mappingsIn(key, inner)
}

function insideOf(schema: z.ZodType): z.ZodType[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) {
    return [schema.unwrap() as z.ZodType]
  }
  if (schema instanceof z.ZodArray) return [schema.element as z.ZodType]
  if (schema instanceof z.ZodRecord) return [schema.valueType as z.ZodType]
  return schema instanceof z.ZodUnion ? (schema.options as z.ZodType[]) : []
}

function tableOf(name: string, page: Page): string {
  const shape = MAPPINGS.get(name)?.shape ?? {}
  const rows = Object.entries(shape).map(([key, schema]) => {
    const said: KeyReference = REFERENCE[name]?.[key] ?? { meaning: '' }
    return {
      key: name === '' || name === 'upstreams' ? linked(key, page.anchors) : `\`${key}\``,
      type: said.type ?? typeOf(schema as z.ZodType),
      default: said.default ?? '',
      meaning: said.meaning,
      'after a change': name === '' ? (said.afterChange ?? page.afterChange(key)) : '',
    }
  })
  const columns = (['key', 'meaning', 'type', 'default', 'after a change'] as const).filter(
    (column) => rows.some((row) => row[column] !== ''),
  )
  const lines = [
    columns,
    columns.map(() => '---'),
    ...rows.map((row) => columns.map((it) => row[it])),
  ]
  return lines.map((cells) => `| ${cells.join(' | ')} |\n`).join('')
}

function linked(key: string, anchors: ReadonlySet<string>): string {
  const anchor = SECTIONS.get(key) ?? key.toLowerCase()
  return anchors.has(anchor) ? `[\`${key}\`](#${anchor})` : `\`${key}\``
}

/** From what the shape says when a value is of another type: `a duration such as 5m`. */
function typeOf(schema: z.ZodType): string {
  const [inner, ...more] = insideOf(schema)
  if (schema instanceof z.ZodArray && inner !== undefined)
    return `list of ${pluralOf(typeOf(inner))}`
  if (schema instanceof z.ZodRecord) return 'mapping'
  if (inner !== undefined && more.length === 0) return typeOf(inner)
  const said = schema.safeParse(Symbol('of no type')).error?.issues[0]?.message ?? ''
  return typeIn(said)
}

function typeIn(said: string): string {
  const number = /^a number of \w+ (?<range>from \d+ to \d+)$/.exec(said)?.groups?.['range']
  if (number !== undefined) return `number ${number}`
  if (/^\w+(?:, \w+)* or \w+$/.test(said)) return said.replace(/\b(?!or\b)\w+/g, '`$&`')
  const [, noun = said] =
    /^(?:an? |the name of an? )?(.*?)(?:,? such as .*|, in quotes.*)?$/.exec(said) ?? []
  const alternative = /, or (\w+)$/.exec(said)?.[1]
  return alternative === undefined ? noun : `${noun}, or \`${alternative}\``
}

function pluralOf(noun: string): string {
  return noun.endsWith('s') ? `${noun}es` : `${noun}s`
}
