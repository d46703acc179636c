import { ConfigError, InvalidValue, type Path, pathText, type Problem, quote } from './problem.ts'
import type { Source } from './source.ts'

/** Collects what is wrong, so that everything is said at once. */
export class Report {
  readonly #source: Source
  readonly #problems: (Problem & { readonly line: number })[] = []
  /** Parts of which nothing more is said: what follows from a value that is missing is no news. */
  readonly #settled = new Set<string>()

  constructor(source: Source) {
    this.#source = source
    for (const { path, line, message } of source.mistakes) {
      this.#problems.push({ path: pathText(path), line, message })
      this.#settled.add(JSON.stringify(path))
    }
  }

  add(path: Path, message: string): void {
    if (this.isSettled(path)) return
    this.#problems.push({ path: pathText(path), line: this.#source.lineOf(path), message })
  }

  /** What `parse` makes of the text; `undefined` when it throws `InvalidValue`, which is added. */
  read<T>(path: Path, text: string, parse: (text: string) => T): T | undefined {
    try {
      return parse(text)
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error
      this.add(path, `${this.#shown(path, text)} ${error.message}`)
      return undefined
    }
  }

  /** For a value of the wrong kind. */
  addMismatch(path: Path, value: unknown, right: string): void {
    const found = typeof value === 'string' ? this.#shown(path, value) : describe(path, value)
    this.add(path, `found ${found}; write ${right}`)
    this.#settled.add(JSON.stringify(path))
  }

  /** Whether the value, or what it would be in, was refused and left out. */
  isSettled(path: Path): boolean {
    return [...path.keys(), path.length].some((length) =>
      this.#settled.has(JSON.stringify(path.slice(0, length))),
    )
  }

  /** @throws {ConfigError} with every problem in the order of the file's lines, when there is one */
  throwIfAny(file: string): void {
    const problems = this.#problems.toSorted((a, b) => a.line - b.line)
    if (problems.length > 0) throw new ConfigError(file, problems)
  }

  /** What came from the environment is shown as the file has it. */
  #shown(path: Path, text: string): string {
    return isSecret(path) ? 'the text' : quote(this.#source.asWritten(path, text))
  }
}

/**
 * Whoever misplaces a key under credentials may have put the password anywhere. The URL of a webhook
 * often is a secret itself, and so is what stands in the place of the whole.
 */
function isSecret(path: Path): boolean {
  if (path[0] === 'webhook') return path.at(-1) !== 'secretFile'
  return path[0] === 'upstreams' && path[2] === 'credentials' && path.at(-1) !== 'passwordFile'
}

function describe(path: Path, value: unknown): string {
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a mapping'
  return isSecret(path) ? `a ${typeof value}` : JSON.stringify(value)
}
