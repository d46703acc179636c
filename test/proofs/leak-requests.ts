/** Every way in which something of a repository can be asked for, and what an answer gives away. */
import type { ClientResponse } from '../support/client.ts'
import type { Headers } from '../support/people.ts'

/** What is asked for: of an image, or of one that nobody has. */
export interface Wanted {
  readonly tag: string
  readonly manifest: string
  readonly blob: string
  /** Bytes of the blob. */
  readonly size: number
}

export interface Question {
  readonly title: string
  readonly method: 'GET' | 'HEAD'
  /** Below the repository. */
  readonly rest: string
  readonly headers: Headers
}

/** Where a repository name is meant, and where a digest is: to be told apart afterwards. */
export function questionsAbout(wanted: Wanted): Question[] {
  return [...digestQuestions(wanted), ...nameQuestions(wanted)]
}

/** About the repository as a whole, or by what only its own tags lead to. */
function nameQuestions({ tag }: Wanted): Question[] {
  return [
    ...both('tag', `manifests/${tag}`),
    ...both('tag, unless none', `manifests/${tag}`, { 'if-none-match': '*' }),
    get('tag list', 'tags/list'),
    get('tag list, a page', 'tags/list?n=1'),
    get('tag list, none', 'tags/list?n=0'),
    get('tag list, from', 'tags/list?n=5&last=a'),
  ]
}

/** Which need to know no more than a digest. */
export function digestQuestions({ manifest, blob, size }: Wanted): Question[] {
  return [
    ...[manifest, blob].flatMap((digest) => [
      ...both('manifest', `manifests/${digest}`),
      ...both('manifest, if changed', `manifests/${digest}`, { 'if-none-match': `"${digest}"` }),
      ...both('manifest, unless any', `manifests/${digest}`, { 'if-none-match': '*' }),
      ...both('blob', `blobs/${digest}`),
      ...both('blob, if changed', `blobs/${digest}`, { 'if-none-match': `"${digest}"` }),
      ...both('blob, if changed, weak', `blobs/${digest}`, { 'if-none-match': `W/"${digest}"` }),
      ...both('blob, unless any', `blobs/${digest}`, { 'if-none-match': '*' }),
    ]),
    ...rangesOf(size).flatMap((range) => both(`blob, ${range}`, `blobs/${blob}`, { range })),
    get('blob, a range of this one', `blobs/${blob}`, {
      range: 'bytes=0-1',
      'if-range': `"${blob}"`,
    }),
    get('blob, a range of another', `blobs/${blob}`, { range: 'bytes=0-1', 'if-range': '"other"' }),
    ...both('referrers', `referrers/${manifest}`),
    get(
      'referrers of a kind',
      `referrers/${manifest}?artifactType=application/vnd.example.sbom.v1`,
    ),
    ...['', '.sig', '.att'].flatMap((ending) =>
      both(`fallback tag${ending}`, `manifests/${manifest.replace(':', '-')}${ending}`),
    ),
  ]
}

/** Each of RFC 9110 section 14.1.2, and some that are none. */
function rangesOf(size: number): string[] {
  return [
    'bytes=0-',
    'bytes=0-0',
    'bytes=-1',
    'bytes=-0',
    `bytes=${size - 1}-`,
    `bytes=${size}-`,
    'bytes=5-99999999999',
    'bytes=0-0,2-3',
    `bytes=0-1,${size}-`,
    'bytes=9-1',
    'lines=0-1',
    'bytes=',
  ]
}

function both(title: string, rest: string, headers: Headers = {}): Question[] {
  return (['GET', 'HEAD'] as const).map((method) => ({ title, method, rest, headers }))
}

function get(title: string, rest: string, headers: Headers = {}): Question {
  return { title, method: 'GET', rest, headers }
}

/** Differ with each answer and say nothing. */
const OF_THE_MOMENT: ReadonlySet<string> = new Set([
  'date',
  'x-request-id',
  'connection',
  'keep-alive',
])
/** Say something of content. */
const TELLING = [
  'docker-content-digest',
  'etag',
  'content-range',
  'accept-ranges',
  'cache-status',
  'warning',
  'link',
  'oci-filters-applied',
  'age',
  'last-modified',
]

/**
 * All of an answer by which it can be told from another, in one text.
 * @param names what was asked for, which errors may repeat
 */
export function fingerprint(answer: ClientResponse, names: readonly string[]): string {
  const headers = Object.entries(answer.headers)
    .filter(([name]) => !OF_THE_MOMENT.has(name))
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
  const text = JSON.stringify([
    answer.status,
    headers,
    answer.complete,
    answer.body.toString('latin1'),
  ])
  const impersonal = text.replaceAll(/\br-[a-z2-9]{10}\b/g, '<request>')
  return names.reduce((said, name, place) => said.replaceAll(name, `<${place}>`), impersonal)
}

/** @throws when the answer is no refusal, or says more than one */
export function demandRefusal(answer: ClientResponse, status: number, what: string): void {
  const told = TELLING.filter((name) => answer.headers[name] !== undefined)
  const type = answer.headers['content-type']
  if (answer.status !== status || told.length > 0 || type !== 'application/json') {
    throw new Error(`${what} was answered ${answer.status} ${type}, and told: ${told.join(', ')}`)
  }
}
