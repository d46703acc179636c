/**
 * Lists of images, as `skopeo sync --src yaml` reads them:
 * https://github.com/containers/skopeo/blob/main/docs/skopeo-sync.1.md
 */
import { syntaxMistakes, whyUnparsable } from '../formats/yaml-text.ts'
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from '../formats/yaml.ts'
import { isDigest } from '../oci/digest.ts'
import { canonicalRegistry } from '../oci/registry-name.ts'
import { isRepository, isTag } from '../oci/reference.ts'
import { MAX_IMAGES, type ImageSource, type TagSource } from './sources.ts'
import { createTagFilter, TagFilterError } from './tag-filter.ts'

/** How the list says that a registry is to be asked. */
export interface RegistryAccess {
  /** As images name it. */
  readonly registry: string
  readonly credentials: { readonly username: string; readonly password: string } | undefined
  /** `false`: certificates need not be right, and plain HTTP will do. */
  readonly tlsVerify: boolean | undefined
  /** A folder with `*.crt` of authorities to trust. */
  readonly certDir: string | undefined
}

export interface ImageList {
  readonly sources: readonly ImageSource[]
  /** Those of which the list says anything. */
  readonly access: readonly RegistryAccess[]
}

/** The list cannot be used: a line for each thing that is wrong, with its place. Never holds a secret. */
export class ImageListError extends Error {
  override readonly name = 'ImageListError'
}

const WHAT = 'list of images'
/** Told at once. */
const MAX_MISTAKES = 20

const KEYS = [
  'images',
  'images-by-tag-regex',
  'images-by-semver',
  'credentials',
  'tls-verify',
  'cert-dir',
] as const

type Key = (typeof KEYS)[number]

/**
 * @param file shown in messages
 * @throws {ImageListError} with everything that is wrong
 */
export function parseImageList(text: string, file: string): ImageList {
  const refusal = whyUnparsable(text, WHAT)
  if (refusal !== undefined) throw new ImageListError(`${file}:1:1: ${refusal}`)
  const lines = new LineCounter()
  // Every scalar is text, as tags such as 1.10 are.
  const document = parseDocument(text, {
    schema: 'failsafe',
    lineCounter: lines,
    prettyErrors: false,
    // Looked for below: the library's way takes quadratic time.
    uniqueKeys: false,
  })
  const reader = new Reader(lines)
  const syntax = syntaxMistakes(document.errors, lines, WHAT)
  for (const { line, column, message } of syntax) reader.complain({ line, column }, message)
  if (syntax.length === 0) reader.readAll(document.contents)
  if (reader.mistakes.length > 0) {
    const told = reader.mistakes.slice(0, MAX_MISTAKES).map((it) => `${file}:${it}`)
    throw new ImageListError(told.join('\n'))
  }
  return { sources: reader.sources, access: reader.access }
}

interface Place {
  readonly line: number
  readonly column: number
}

interface Entry {
  readonly key: string
  readonly keyNode: Node
  readonly value: Node | null
}

class Reader {
  readonly sources: ImageSource[] = []
  readonly access: RegistryAccess[] = []
  readonly mistakes: string[] = []
  readonly #lines: LineCounter

  constructor(lines: LineCounter) {
    this.#lines = lines
  }

  complain(at: Place | Node, message: string): void {
    const { line, column } = 'line' in at ? at : this.#placeOf(at)
    this.mistakes.push(`${line}:${column}: ${message}`)
  }

  readAll(root: Node | null): void {
    if (root === null || isEmpty(root)) {
      return this.complain({ line: 1, column: 1 }, 'there is no image in this list')
    }
    const right = 'registries, such as "docker.io: { images: { library/redis: [\'7\'] } }"'
    for (const entry of this.#entries(root, right)) this.#readRegistry(entry)
    if (this.sources.length > MAX_IMAGES) {
      this.complain(root, `there are more than ${MAX_IMAGES} images in this list`)
    } else if (this.sources.length === 0 && this.mistakes.length === 0) {
      this.complain(root, 'there is no image in this list')
    }
  }

  #readRegistry({ key: registry, keyNode, value }: Entry): void {
    if (!/^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?$/i.test(registry)) {
      return this.complain(keyNode, 'this is not the name of a registry, such as docker.io')
    }
    if (value === null || isEmpty(value)) {
      return this.complain(keyNode, `nothing is said of this registry; write ${KEYS.join(', ')}`)
    }
    let credentials: RegistryAccess['credentials']
    let tlsVerify: boolean | undefined
    let certDir: string | undefined
    const readers: Readonly<Record<Key, (node: Node | null, keyNode: Node) => void>> = {
      images: (node) => this.#readImages(registry, node),
      'images-by-tag-regex': (node) => this.#readFilters(registry, 'matching', node),
      'images-by-semver': (node) => this.#readFilters(registry, 'semver', node),
      credentials: (node, key) => (credentials = this.#readCredentials(node, key)),
      'tls-verify': (node, key) => (tlsVerify = this.#readFlag(node, key)),
      'cert-dir': (node, key) => (certDir = this.#text(node, key, 'the name of a folder')),
    }
    for (const entry of this.#entries(value, `a mapping with ${KEYS.join(', ')}`)) {
      const read = isKey(entry.key) ? readers[entry.key] : undefined
      if (read) read(entry.value, entry.keyNode)
      else this.complain(entry.keyNode, `this is not a key; the keys here are ${KEYS.join(', ')}`)
    }
    if (credentials !== undefined || tlsVerify !== undefined || certDir !== undefined) {
      this.access.push({ registry: canonicalRegistry(registry), credentials, tlsVerify, certDir })
    }
  }

  #readImages(registry: string, node: Node | null): void {
    const right = "repositories and their tags, such as \"library/redis: ['7', '7.2']\""
    for (const { key, keyNode, value } of this.#entries(node, right)) {
      if (!this.#isRepository(key, keyNode)) continue
      const repository = `${registry}/${key}`
      if (value === null || isEmpty(value)) this.sources.push({ repository })
      else if (isSeq<Node>(value)) {
        for (const item of value.items) this.#readReference(repository, item)
      } else this.complain(value, "this is not a list of tags; write for example ['7', '7.2']")
    }
  }

  #readReference(repository: string, item: Node): void {
    const text = textOf(item)
    if (text !== undefined && isTag(text)) this.sources.push({ image: `${repository}:${text}` })
    else if (isDigest(text)) this.sources.push({ image: `${repository}@${text}` })
    else this.complain(item, 'this is neither a tag nor a digest such as sha256:…')
  }

  #readFilters(registry: string, kind: 'matching' | 'semver', node: Node | null): void {
    const example = kind === 'matching' ? '^7\\.' : '">= 7, < 8"'
    const right = `repositories and what their tags must be, such as "library/redis: ${example}"`
    for (const { key, keyNode, value } of this.#entries(node, right)) {
      if (!this.#isRepository(key, keyNode)) continue
      const text = this.#text(value, keyNode, `text, such as ${example}`)
      if (text === undefined) continue
      const source: TagSource = { repository: `${registry}/${key}`, [kind]: text }
      try {
        createTagFilter(source)
        this.sources.push(source)
      } catch (error) {
        if (!(error instanceof TagFilterError)) throw error
        this.complain(value ?? keyNode, `this ${error.message}`)
      }
    }
  }

  /** Says nothing of what was found: it may be the password in the wrong place. */
  #readCredentials(node: Node | null, owner: Node): RegistryAccess['credentials'] {
    const found = new Map<string, string>()
    for (const { key, keyNode, value } of this.#entries(
      node,
      'a mapping of username and password',
    )) {
      const text = ['username', 'password'].includes(key) ? textOf(value) : undefined
      if (text === undefined || text === '') {
        this.complain(keyNode, 'credentials are username and password, each with a text')
      } else found.set(key, text)
    }
    const [username, password] = [found.get('username'), found.get('password')]
    if (username !== undefined && password !== undefined) return { username, password }
    if (node !== null) this.complain(owner, 'credentials need a username and a password')
    return undefined
  }

  #readFlag(node: Node | null, owner: Node): boolean | undefined {
    const text = textOf(node)
    if (text === 'true' || text === 'false') return text === 'true'
    this.complain(node ?? owner, 'this is neither true nor false')
    return undefined
  }

  #text(node: Node | null, owner: Node, right: string): string | undefined {
    const text = textOf(node)
    if (text !== undefined && text !== '') return text
    this.complain(node ?? owner, `here must be ${right}`)
    return undefined
  }

  #isRepository(text: string, node: Node): boolean {
    if (isRepository(text)) return true
    this.complain(
      node,
      'this is not the name of a repository: it is of lower-case letters, digits, single separators and slashes, without registry and tag',
    )
    return false
  }

  /** Empty where there is something else, which is told. */
  #entries(node: Node | null, right: string): Entry[] {
    if (node === null || isEmpty(node)) return []
    if (!isMap<Node, Node | null>(node)) {
      this.complain(node, `here must be ${right}`)
      return []
    }
    const entries = new Map<string, Entry>()
    for (const { key: keyNode, value } of node.items) {
      const key = textOf(keyNode)
      if (key === undefined) this.complain(keyNode, 'this is a key that is not plain text')
      else if (entries.has(key)) this.complain(keyNode, 'this is there twice; keep one')
      else entries.set(key, { key, keyNode, value })
    }
    return [...entries.values()]
  }

  #placeOf({ range }: Node): Place {
    const { line, col } = this.#lines.linePos(range?.[0] ?? 0)
    return { line, column: col }
  }
}

function isKey(text: string): text is Key {
  return KEYS.some((it) => it === text)
}

/** `undefined` for lists, mappings, aliases, and what has a tag. */
function textOf(node: Node | null): string | undefined {
  return isScalar(node) && node.tag === undefined ? String(node.value) : undefined
}

/** Nothing was written behind the colon, or only [] or {}. */
function isEmpty(node: Node): boolean {
  if (isMap(node) || isSeq(node)) return node.items.length === 0
  return isScalar(node) && (node.source ?? '') === '' && node.type === 'PLAIN'
}
