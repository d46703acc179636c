/** `Link`, RFC 8288, as far as paging needs it. PURE. */

interface Link {
  readonly target: string
  readonly relations: readonly string[]
}

const ANY_BASE = 'https://registry.invalid/'
const PARAMETER = /^;[ \t]*([^=;,\s"]*)[ \t]*(?:=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^;,\s"]*)))?[ \t]*/

/**
 * The query of the next page, without `?`. Only the query is taken: upstream's link may be absolute,
 * relative or on another host, and where the next page is asked for is not upstream's to say.
 */
export function nextQuery(header: string | readonly string[] | undefined): string | undefined {
  const lines = typeof header === 'string' ? [header] : (header ?? [])
  const next = lines.flatMap(parseLinks).find(({ relations }) => relations.includes('next'))
  if (next === undefined || !URL.canParse(next.target, ANY_BASE)) return undefined
  const { search } = new URL(next.target, ANY_BASE)
  return search === '' ? undefined : search.slice(1)
}

function parseLinks(line: string): Link[] {
  const links: Link[] = []
  let rest = line
  for (;;) {
    const [opening, target] = /^[ \t,]*<([^>]*)>[ \t]*/.exec(rest) ?? []
    if (opening === undefined || target === undefined) return links
    rest = rest.slice(opening.length)
    const relations: string[] = []
    for (let match = PARAMETER.exec(rest); match !== null; match = PARAMETER.exec(rest)) {
      const [text, name = '', quoted, unquoted] = match
      if (name.toLowerCase() === 'rel') {
        relations.push(...(quoted ?? unquoted ?? '').toLowerCase().split(/[ \t]+/))
      }
      rest = rest.slice(text.length)
    }
    links.push({ target, relations })
  }
}
