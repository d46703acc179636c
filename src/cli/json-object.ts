/** Reads what a mirror has answered: nothing of it is believed before it was looked at. Pure. */

/** What answered is something else, or of another version. */
export class ForeignAnswer extends Error {
  override readonly name = 'ForeignAnswer'

  /** @param what is not as it should be: a name of ours */
  constructor(what: string) {
    super(`What answered there is no mirror, or one of another version (${what}).`)
  }
}

/** Every method throws ForeignAnswer; `maybe…` only where something is there, and `null` is nothing. */
export interface JsonObject {
  text(key: string): string
  maybeText(key: string): string | undefined
  number(key: string): number
  maybeNumber(key: string): number | undefined
  flag(key: string): boolean
  /** ISO 8601 there, milliseconds since the epoch here. */
  time(key: string): number
  maybeTime(key: string): number | undefined
  oneOf<T extends string>(key: string, texts: readonly T[]): T
  list<T>(key: string, read: (item: unknown) => T): T[]
  object(key: string): JsonObject
  maybeObject(key: string): JsonObject | undefined
  /** As it is. */
  value(key: string): unknown
}

/** @throws {ForeignAnswer} */
export function readObject(json: unknown, what = 'an object'): JsonObject {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new ForeignAnswer(what)
  }
  const value = (key: string): unknown => (json as Record<string, unknown>)[key]
  const has = (key: string): boolean => value(key) !== undefined && value(key) !== null
  const text = (key: string): string => {
    const found = value(key)
    if (typeof found !== 'string') throw new ForeignAnswer(key)
    return found
  }
  const number = (key: string): number => {
    const found = value(key)
    if (typeof found !== 'number') throw new ForeignAnswer(key)
    return found
  }
  const time = (key: string): number => {
    const found = Date.parse(text(key))
    if (Number.isNaN(found)) throw new ForeignAnswer(key)
    return found
  }
  const object = (key: string): JsonObject => readObject(value(key), key)
  return {
    value,
    text,
    number,
    time,
    object,
    maybeText: (key) => (has(key) ? text(key) : undefined),
    maybeNumber: (key) => (has(key) ? number(key) : undefined),
    maybeTime: (key) => (has(key) ? time(key) : undefined),
    maybeObject: (key) => (has(key) ? object(key) : undefined),
    flag(key) {
      const found = value(key)
      if (typeof found !== 'boolean') throw new ForeignAnswer(key)
      return found
    },
    oneOf(key, texts) {
      const found = texts.find((it) => it === value(key))
      if (found === undefined) throw new ForeignAnswer(key)
      return found
    },
    list(key, read) {
      const found = value(key)
      if (!Array.isArray(found)) throw new ForeignAnswer(key)
      return found.map((item) => read(item))
    },
  }
}
