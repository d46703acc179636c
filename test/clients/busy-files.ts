/** Files as hosts that have been in use for long have them: comments, other people's entries, any line ends. */
import * as fc from 'fast-check'

/** What goes through the hands of editors: line ends, a byte order mark, an end without a line end. */
const handled = fc.record({
  eol: fc.constantFrom('\n', '\r\n'),
  mark: fc.constantFrom('', '', '\uFEFF'),
  cut: fc.boolean(),
})

function throughHands(
  text: string,
  { eol, mark, cut }: { eol: string; mark: string; cut: boolean },
): string {
  const whole = text.replaceAll('\n', eol)
  return mark + (cut && whole.endsWith(eol) ? whole.slice(0, -eol.length) : whole)
}

function busy(parts: fc.Arbitrary<readonly string[]>): fc.Arbitrary<string> {
  return fc.tuple(parts, handled).map(([lines, hands]) => throughHands(lines.join(''), hands))
}

/** Every one at most once and in any order, with what may stand between them. */
function mixture(
  pieces: readonly string[],
  between: readonly string[],
): fc.Arbitrary<readonly string[]> {
  const separator = fc.constantFrom(...between)
  return fc
    .shuffledSubarray([...pieces])
    .chain((chosen) =>
      fc
        .array(separator, { minLength: chosen.length + 1, maxLength: chosen.length + 1 })
        .map((gaps) => gaps.flatMap((gap, index) => [gap, chosen[index] ?? ''])),
    )
}

const TOML_GAPS = ['', '', '\n', '# [a comment]\n', '\t# tabs\n', '# end = "of it\n\n\n']

/** Keys first, as TOML wants it, then tables. */
export function busyToml(keys: readonly string[], tables: readonly string[]): fc.Arbitrary<string> {
  return busy(
    fc
      .tuple(
        mixture([...TOML_KEYS, ...keys], TOML_GAPS),
        mixture([...TOML_TABLES, ...tables], TOML_GAPS),
      )
      .map((both) => both.flat()),
  )
}

const TOML_KEYS = [
  'title = "a # b" # why\n',
  '"quoted key" = \'literal\\\'\n',
  'many = """\n[not.a.table]\nserver = "no"\n"""\n',
  'list = [\n  "one", # the first\n  [1, 2],\n  ["x"],\n]\n',
  'when = 1979-05-27T07:32:00Z\nlarge = 9223372036854775807\n',
  'a.b.c = { inline = true }\n',
]

const TOML_TABLES = [
  '[owner]\nname = "somebody"\n  indented = 1.5\n',
  '\t[owner2 . "dotted.part"]\n\tx = true\n',
  '[[fruit]]\nname = "apple"\n[[fruit]]\nname = "pear"\n[fruit.physical]\ncolour = "red"\n',
  "[strings]\nliteral = '''\n[[registry]]\nprefix = 'no'\n'''\n",
  '[empty]\n',
]

/** A map of the top level for each piece. */
export function busyYaml(pieces: readonly string[]): fc.Arbitrary<string> {
  const begin = fc.constantFrom('', '', '---\n', '# first of all\n', '%YAML 1.2\n---\n')
  return busy(
    fc
      .tuple(begin, mixture([...YAML_MAPS, ...pieces], YAML_GAPS))
      .map(([first, rest]) => [first, ...rest]),
  )
}

const YAML_GAPS = ['', '', '\n', '# mirrors:\n', '   # indented\n']

const YAML_MAPS = [
  'other:\n    deep:\n        - one\n        -   two: 2\n',
  '\'quoted\': "with: colon" # why\n',
  'text: |\n  mirrors:\n    not: one\n\n  # entrepot\n',
  'flow: {a: [1, 2], b: null}\n',
  'base: &base\n  a: 1\nuses: *base\n',
]

/** Any object, written in the ways that people and programs write it. */
export function busyJson(
  members: Readonly<Record<string, fc.Arbitrary<unknown>>>,
): fc.Arbitrary<string> {
  const known = fc.record(members, { requiredKeys: [] })
  const unknown = fc.dictionary(fc.string({ maxLength: 6 }), fc.jsonValue({ maxDepth: 2 }), {
    maxKeys: 3,
  })
  const object = fc.tuple(unknown, known).map(([a, b]) => ({ ...a, ...b }))
  const indent = fc.constantFrom(undefined, 1, 2, 4, '\t')
  const spaced = fc.tuple(object, indent, fc.boolean()).map(([value, space, hasComments]) => {
    const text = JSON.stringify(value, undefined, space)
    return hasComments ? withComments(text) : text
  })
  const around = fc.constantFrom('', '\n', ' ', '// first, of all\n')
  const odd = fc.constantFrom('{}', '{ }', '{\n}', '{\n\n}\n', '{\n}\n', '{ /* nothing */ }')
  return busy(
    fc.oneof(
      { weight: 6, arbitrary: fc.tuple(around, spaced, fc.constantFrom('\n', '')) },
      { weight: 1, arbitrary: fc.tuple(odd) },
    ),
  )
}

function withComments(text: string): string {
  return text.replaceAll(/([[{,])\n/g, '$1 // why, and "what"\n').replace(/^\{/, '{ /* { */')
}
