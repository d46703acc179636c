/**
 * Nothing on a page between fences is left unread: data is parsed, configurations are accepted, and of each
 * command it is known which test makes it.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/config/load.ts'
import { parseJson } from '../../src/formats/json.ts'
import { parseToml } from '../../src/formats/toml.ts'
import { valueAt } from '../../src/formats/same.ts'
import { parseYaml } from '../../src/formats/yaml-edit.ts'
import { type Block, blocksOf, PAGES, ROOT } from './pages.ts'
import { SHELL_COMMANDS, wordsOfProgram } from './documented-calls.ts'

const BLOCKS = PAGES.flatMap((page) => blocksOf(page))
const UPSTREAMS = 'upstreams: { docker.io: {}, quay.io: {}, registry.k8s.io: {} }\n'

/** How blocks of a language are read here; `elsewhere`: by the test that is named. */
const LANGUAGES: Readonly<Record<string, ((block: Block) => void) | { elsewhere: string }>> = {
  // What a program says, a drawing, a message.
  '': () => undefined,
  sh: ({ text }) => {
    const { status, stderr } = spawnSync('bash', ['--norc', '-n'], {
      input: text,
      encoding: 'utf8',
    })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  },
  yaml: ({ page, info, text }) => {
    // Of other programs, and whose it is stands behind the language.
    if (info !== '') expect(parseYaml(text)).toBeTypeOf('object')
    // Files that they name are there in configuration.test.ts.
    else if (page !== 'docs/configuration.md') expect(() => accept(text)).not.toThrow()
  },
  json: ({ text }) => expect(parseJson(text)).toBeTypeOf('object'),
  toml: ({ text }) => expect(parseToml(text)).toBeTypeOf('object'),
  promql: { elsewhere: 'test/docs/operations.test.ts' },
  js: { elsewhere: 'test/docs/access.test.ts' },
}

interface Proof {
  /** The first words of the command. */
  readonly command: RegExp
  /** What runs it, or what checks it in its place. */
  readonly by: string
  /** What stands there. */
  readonly as: RegExp
}

/** Commands of other programs, and where they are run. Those of the program itself are run by calls.test.ts. */
const PROOFS: readonly Proof[] = [
  {
    command: /^npm (?:ci|start|test)$/,
    by: 'test/scenarios/readme.test.ts',
    as: /npm ci && npm start/,
  },
  { command: /^npm (?:ci|run (?:check|build|prove))\b/, by: '.ci/run', as: /npm run prove/ },
  { command: /^npm run [\w:-]+/, by: 'test/docs/snippets.test.ts', as: /has a script for each/ },
  { command: /^curl /, by: 'test/docs/calls.test.ts', as: /CURL_CALLS/ },
  { command: /^sh$/, by: 'test/scenarios/readme.test.ts', as: /install\.sh/ },
  { command: /^test\/interop\/run\.sh$/, by: '.ci/run', as: /^test\/interop\/run\.sh$/m },
  { command: /^docker pull /, by: 'test/interop/clients/dockerd.sh', as: /docker_cli pull/ },
  { command: /^docker build /, by: 'test/container/run.sh', as: /"\$\{ENGINE\[@\]\}" build/ },
  {
    command: /^docker (?:run|exec|stop) /,
    by: 'test/container/run.sh',
    as: /engine (?:run|exec|stop)/,
  },
  { command: /^docker cp /, by: 'test/scenarios/backup.test.ts', as: /docker cp/ },
  {
    command: /^ctr images pull /,
    by: 'test/interop/clients/ctr.sh',
    as: /images pull --hosts-dir/,
  },
  { command: /^skopeo copy /, by: 'test/interop/clients/skopeo.sh', as: /skopeo .*copy/ },
  { command: /^crane pull /, by: 'test/interop/clients/crane.sh', as: /crane pull/ },
  { command: /^oras cp /, by: 'test/interop/clients/oras.sh', as: /oras cp --from/ },
  { command: /^regctl image copy /, by: 'test/interop/clients/regctl.sh', as: /image copy/ },
  { command: /^regctl registry set /, by: 'test/interop/clients/regctl.sh', as: /registry set/ },
  {
    command: /^(?:install|cd|node --input-type=module|cp|chown|rm) /,
    by: 'test/scenarios/backup.test.ts',
    as: /follow\('restore-control'/,
  },
  {
    // Rendered there; that there are such values is seen below.
    command: /^helm install /,
    by: 'test/packages/kubernetes.sh',
    as: /check helm 'as it comes/,
  },
  { command: /^deploy\/release\/sbom\.sh /, by: 'test/packages/files.sh', as: /release\/sbom\.sh/ },
  {
    command: /^deploy\/release\/build-image\.sh /,
    by: 'test/packages/files.sh',
    as: /release\/build-image\.sh/,
  },
  { command: /^jq /, by: 'test/docs/snippets.test.ts', as: /reads the log as it is/ },
  { command: /^(?:sort|uniq)\b/, by: 'test/docs/snippets.test.ts', as: /reads the log as it is/ },
]

/** Of programs that no machine of the tests has. What they are told is checked by reading only. */
const UNTRIED: readonly RegExp[] = [
  /^kubectl create secret docker-registry /,
  /^docker buildx create /,
  /^\/kaniko\/executor /,
  // Moves what is damaged out of the way, as root.
  /^mkdir \/root\/damaged$/,
  /^mv \/var\/lib\/entrepot\/control\.sqlite\* \/root\/damaged\/$/,
]

describe.each(PAGES)('%s', (page) => {
  it('has nothing between fences that cannot be read', () => {
    for (const block of blocksOf(page)) {
      const read = LANGUAGES[block.language]
      expect({ at: `${page}:${block.line}`, language: read && block.language }).not.toMatchObject({
        language: undefined,
      })
      if (typeof read === 'function') read(block)
      else standsIn(read?.elsewhere ?? '', page)
    }
  })
})

describe('a command on a page', () => {
  const others = SHELL_COMMANDS.filter(({ words }) => wordsOfProgram(words) === undefined)
  const lines = others.map(({ place, words }) => [place, withoutSudo(words).join(' ')] as const)

  it.each(lines)('%s %s is run by a test', (_, line) => {
    const proof = PROOFS.find(({ command }) => command.test(line))
    const excuses = UNTRIED.filter((it) => it.test(line))
    expect([...excuses, ...(proof === undefined ? [] : [proof.command])]).not.toEqual([])
    if (proof !== undefined) standsIn(proof.by, proof.as)
  })

  it('is known for each proof and exception', () => {
    const texts = lines.map(([, line]) => line)
    const unused = [...PROOFS.map(({ command }) => command), ...UNTRIED].filter(
      (pattern) => !texts.some((line) => pattern.test(line)),
    )
    expect(unused).toEqual([])
  })

  it('has a script for each that npm is to run', () => {
    const { scripts } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')) as {
      scripts: Readonly<Record<string, string>>
    }
    const asked = lines.flatMap(([, line]) => /^npm run ([\w:-]+)/.exec(line)?.[1] ?? [])
    expect(asked.length).toBeGreaterThan(3)
    expect(asked.filter((name) => scripts[name] === undefined)).toEqual([])
  })

  it('sets values of the chart that there are', () => {
    const chart = readFileSync(new URL('deploy/helm/entrepot/values.yaml', ROOT), 'utf8')
    const set = lines.flatMap(([, line]) => line.match(/(?<= --set )[^ =]+/g) ?? [])
    expect(set.length).toBeGreaterThan(0)
    expect(set.filter((path) => valueAt(parseYaml(chart), path.split('.')) === undefined)).toEqual(
      [],
    )
  })

  it.skipIf(spawnSync('jq', ['--version']).error !== undefined)('reads the log as it is', () => {
    const [entry] = BLOCKS.filter(
      ({ language, text }) => language === 'json' && text.includes('"msg"'),
    )
    const log = JSON.stringify(JSON.parse(entry?.text ?? ''))
    const filters = others.filter(({ words }) => words[0] === 'jq')
    expect(filters.length).toBeGreaterThan(2)
    for (const { place, words } of filters) {
      const { status, stderr } = spawnSync('jq', words.slice(1), { input: log, encoding: 'utf8' })
      expect({ place, status, stderr }).toEqual({ place, status: 0, stderr: '' })
    }
  })
})

function standsIn(path: string, what: string | RegExp): void {
  expect(readFileSync(new URL(path, ROOT), 'utf8')).toMatch(what)
}

function withoutSudo(words: readonly string[]): readonly string[] {
  return words[0] === 'sudo' ? words.slice(1) : words
}

/** A whole configuration, or a part of one. */
function accept(text: string): void {
  const whole = /^upstreams:/m.test(text) ? text : UPSTREAMS + text
  const inline = whole.replace(/secretFile: \S+/, `secret: ${'k'.repeat(32)}`)
  parseConfig(inline, { file: 'mirrors.yml', env: {} })
}
