/** What queries in PromQL ask for: only as much of the language as is written here, and nothing passed over. */

interface Selector {
  /** As in the query, with `_bucket` and the like. */
  readonly metric: string
  readonly matchers: readonly {
    readonly label: string
    /** Of a regular expression each alternative; empty where those are not plain words. */
    readonly values: readonly string[]
  }[]
}

/** What is no metric although it is a word. */
const WORDS = new Set(
  'by without on ignoring group_left group_right and or unless bool offset'.split(' '),
)

/** Every word that is no function, keyword or label has to be a metric. */
export function selectorsIn(query: string): Selector[] {
  // Lists of labels, durations and what is quoted have words as well.
  const bare = query
    .replace(/\b(?:by|without|on|ignoring)\s*\([^)]*\)/g, ' ')
    .replace(/\[[^\]]*\]/g, ' ')
  const found = bare.matchAll(/(?<![\w.])([a-zA-Z_:][\w:]*)\s*(\{[^}]*\}|\()?/g)
  return [...found].flatMap(([, word = '', behind = '']) => {
    if (behind === '(' || WORDS.has(word)) return []
    return [{ metric: word, matchers: matchersIn(behind) }]
  })
}

export function metricsIn(query: string): string[] {
  return selectorsIn(query).map(({ metric }) => metric)
}

/** Those that are left by what sums up, or all that are asked for where nothing does. */
export function labelsUsed(query: string): string[] {
  const lists = [...query.matchAll(/\bby\s*\(([^)]*)\)/g)]
  return lists.flatMap(([, list = '']) => list.split(',').map((label) => label.trim()))
}

function matchersIn(text: string): Selector['matchers'] {
  return [...text.matchAll(/(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"/g)].map(
    ([, label = '', , value = '']) => {
      const values = value.split('|').filter((it) => it !== '')
      return { label, values: values.every((it) => /^[\w.-]+$/.test(it)) ? values : [] }
    },
  )
}
