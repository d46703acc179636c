/** YAML text → plain data that still knows from which line each part came. */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type Scalar,
  type YAMLMap,
} from '../formats/yaml.ts'
import { syntaxMistakes, whyUnparsable } from '../formats/yaml-text.ts'
import { interpolate } from './interpolate.ts'
import { InvalidValue, type Path } from './problem.ts'

interface SourceMistake {
  readonly path: Path
  readonly line: number
  readonly message: string
}

export interface Source {
  /** Maps (without prototype), lists and scalars; `undefined` when the text is not YAML at all. */
  readonly value: unknown
  readonly mistakes: readonly SourceMistake[]
  /** Line of the value, or of what would hold it. */
  lineOf(path: Path): number
  /** The text before environment variables, which may be secrets, were put into it. */
  asWritten(path: Path, text: string): string
}

const WHAT = 'configuration'

/** Reads every value, also those beside mistakes; throws nothing. */
export function readSource(text: string, env: NodeJS.ProcessEnv): Source {
  const refusal = whyUnparsable(text, WHAT)
  if (refusal !== undefined) return unreadable([{ path: [], line: 1, message: refusal }])

  const lineCounter = new LineCounter()
  const document = parseDocument(text, {
    schema: 'core',
    lineCounter,
    // Pretty errors quote the source, which may hold passwords; here only their codes count.
    prettyErrors: false,
    // Looked for below: the library's way takes quadratic time.
    uniqueKeys: false,
  })
  const errors = document.errors.filter((error) => error.code !== 'BAD_ALIAS')
  if (errors.length > 0) {
    const mistakes = syntaxMistakes(errors, lineCounter, WHAT)
    return unreadable(mistakes.map(({ line, message }) => ({ path: [], line, message })))
  }

  const walk = new Walk(env, lineCounter)
  const value = walk.convert(document.contents, [])
  return {
    value,
    mistakes: walk.mistakes,
    lineOf: (path) => walk.lineOf(path),
    asWritten: (path, interpolated) => walk.asWritten(path, interpolated),
  }
}

function unreadable(mistakes: readonly SourceMistake[]): Source {
  return { value: undefined, mistakes, lineOf: () => 1, asWritten: (_, text) => text }
}

class Walk {
  readonly mistakes: SourceMistake[] = []
  readonly #lines = new Map<string, number>()
  readonly #interpolated = new Map<string, { before: string; after: string }>()
  readonly #env: NodeJS.ProcessEnv
  readonly #lineCounter: LineCounter

  constructor(env: NodeJS.ProcessEnv, lineCounter: LineCounter) {
    this.#env = env
    this.#lineCounter = lineCounter
  }

  convert(node: Node | null, path: Path): unknown {
    if (isAlias(node)) {
      return this.#refuse(
        path,
        'is a YAML alias, because it begins with *; put it in quotes, as in "**:nightly"',
      )
    }
    if (node?.tag !== undefined) return this.#refuse(path, 'has a YAML tag (!); remove it')
    if (isMap<Node, Node | null>(node)) return this.#convertMap(node, path)
    if (isSeq<Node>(node)) {
      return node.items.map((item, index) => {
        this.#locate([...path, index], item)
        return this.convert(item, [...path, index])
      })
    }
    return isScalar(node) ? this.#convertScalar(node, path) : null
  }

  lineOf(path: Path): number {
    for (let length = path.length; length > 0; length -= 1) {
      const line = this.#lines.get(pathKey(path.slice(0, length)))
      if (line !== undefined) return line
    }
    return 1
  }

  /** A path names a key as well as its value; only the value was interpolated. */
  asWritten(path: Path, text: string): string {
    const value = this.#interpolated.get(pathKey(path))
    return value?.after === text ? value.before : text
  }

  #convertMap(map: YAMLMap<Node, Node | null>, path: Path): Record<string, unknown> {
    // Without a prototype, so that no key can reach one (CWE-1321).
    const result: Record<string, unknown> = Object.create(null)
    for (const { key, value } of map.items) {
      const name = isScalar(key) ? (key.source ?? '') : undefined
      if (name === undefined || name === '__proto__') {
        this.#refuse([...path, '?'], 'is a key that is not plain text', this.#lineOfNode(key))
      } else if (name in result) {
        this.#refuse([...path, name], 'is there twice; keep one', this.#lineOfNode(key))
      } else {
        this.#locate([...path, name], key)
        result[name] = this.convert(value, [...path, name])
      }
    }
    return result
  }

  #convertScalar({ value }: Scalar, path: Path): unknown {
    if (typeof value !== 'string') return value
    try {
      const after = interpolate(value, this.#env)
      this.#interpolated.set(pathKey(path), { before: value, after })
      return after
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error
      return this.#refuse(path, error.message)
    }
  }

  /** @returns what stands for the value: of a mistake nothing more is said, whatever it is taken for */
  #refuse(path: Path, message: string, line = this.lineOf(path)): string {
    this.mistakes.push({ path, line, message })
    return ''
  }

  #locate(path: Path, node: Node): void {
    this.#lines.set(pathKey(path), this.#lineOfNode(node))
  }

  #lineOfNode(node: Node): number {
    return this.#lineCounter.linePos(node.range?.[0] ?? 0).line
  }
}

function pathKey(path: Path): string {
  return JSON.stringify(path)
}
