import type { Path } from './problem.ts'
import type { Report } from './report.ts'

/** The keys of a shape whose values are of one type. */
type KeyOf<Shape, Value> = {
  [Key in keyof Shape & string]-?: Shape[Key] extends Value ? Key : never
}[keyof Shape & string]

type Text = string | undefined
type TextList = readonly Text[] | null | undefined
type MappingList = readonly (object | undefined)[] | null | undefined
type ItemOf<List> = List extends readonly (infer Item)[] | null | undefined
  ? Extract<Item, object>
  : never

/** A mapping of the file together with its place, so that whatever is wrong in it is reported there. */
export class Section<Shape extends object> {
  readonly shape: Shape
  readonly path: Path
  readonly report: Report

  constructor(shape: Shape, path: Path, report: Report) {
    this.shape = shape
    this.path = path
    this.report = report
  }

  /** `undefined` when the key is absent, and when its value is refused and reported. */
  read<T>(key: KeyOf<Shape, Text>, parse: (text: string) => T): T | undefined {
    const text = this.shape[key] as Text
    return text === undefined ? undefined : this.report.read(this.at(key), text, parse)
  }

  /**
   * As `read`, for a key that must be there.
   * @param right ends the sentence "is missing; write …"
   */
  require<T>(key: KeyOf<Shape, Text>, right: string, parse: (text: string) => T): T | undefined {
    if (this.shape[key] === undefined) this.report.add(this.at(key), `is missing; write ${right}`)
    return this.read(key, parse)
  }

  /** Items that are refused are reported and left out. */
  readList<T>(key: KeyOf<Shape, TextList>, parse: (text: string) => T): T[] {
    const texts = (this.shape[key] as TextList) ?? []
    return texts
      .map((text, index) =>
        text === undefined ? undefined : this.report.read([...this.at(key), index], text, parse),
      )
      .filter((item) => item !== undefined)
  }

  /** A list of mappings. */
  items<Key extends KeyOf<Shape, MappingList>>(key: Key): Section<ItemOf<Shape[Key]>>[] {
    const items = (this.shape[key] as readonly (ItemOf<Shape[Key]> | undefined)[] | null) ?? []
    return items.flatMap((item, index) =>
      item === undefined ? [] : [new Section(item, [...this.at(key), index], this.report)],
    )
  }

  /** Neither there nor refused: nothing was said of the key at all. */
  isAbsent(key: keyof Shape & string): boolean {
    return this.shape[key] === undefined && !this.report.isSettled(this.at(key))
  }

  at(key: string): Path {
    return [...this.path, key]
  }
}
