/** How entries of ours are written, so that they fit in and are known again. */
import type { Node } from 'jsonc-parser'
import { lineEnd } from './marked.ts'

export type JsonValue =
  string | number | boolean | readonly JsonValue[] | { readonly [key: string]: JsonValue }

/** Of a text with one entry a line; one without has none. */
export interface JsonLayout {
  readonly eol: '\n' | '\r\n'
  /** One level of indentation. */
  readonly unit: string
}

export function layoutOf(text: string, root: Node): JsonLayout | undefined {
  const [first] = root.children ?? []
  if (first === undefined) return undefined
  const indent = /\n([ \t]*)[^\n]*$/.exec(text.slice(root.offset + 1, first.offset))?.[1]
  return indent === undefined ? undefined : { eol: lineEnd(text), unit: indent }
}

/** What goes before a new first entry. In what was empty it is never what {@link rendered} would write. */
export function leadOf(
  text: string,
  node: Node,
  depth: number,
  layout: JsonLayout | undefined,
): string {
  const [first] = node.children ?? []
  if (first === undefined) {
    const isFresh = depth === 1 && layout !== undefined
    if (isFresh) return layout.eol + layout.unit
    return /[\]}]/.test(text.charAt(node.offset + 1)) ? ' ' : ''
  }
  const between = text.slice(node.offset + 1, first.offset)
  const indent = /\n([ \t]*)[^\n]*$/.exec(between)?.[1]
  return indent === undefined ? (/^[ \t]*/.exec(between)?.[0] ?? '') : lineEnd(text) + indent
}

/** @param depth of lists and objects around it */
export function rendered(value: JsonValue, depth: number, layout: JsonLayout | undefined): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const isList = Array.isArray(value)
  const parts = Object.entries(value).map(([name, inner]) => {
    const text = rendered(inner, depth + 1, layout)
    return isList ? text : `${JSON.stringify(name)}: ${text}`
  })
  const [open, close] = isList ? ['[', ']'] : ['{', '}']
  const isFlat = Object.values(value).every((inner) => typeof inner !== 'object')
  if (layout === undefined || isFlat) {
    const space = isList || parts.length === 0 ? '' : ' '
    return open + space + parts.join(', ') + space + close
  }
  const inner = layout.eol + layout.unit.repeat(depth + 1)
  return open + inner + parts.join(`,${inner}`) + layout.eol + layout.unit.repeat(depth) + close
}
