/** A script for `sh` that configures the engines of the host that it runs on. Pure. */
import type { ClientConfig, ClientFile, ClientName, MirrorFacts } from './client-config.ts'
import { clientConfig } from './configure.ts'
import { INSTALL_FUNCTIONS } from './install-functions.ts'
import { shellWord } from './place.ts'

/** Those that run on hosts, and read files there. */
const ENGINES = [
  'docker',
  'containerd',
  'podman',
  'cri-o',
  'skopeo',
  'k3s',
  'rke2',
  'buildkit',
  'nerdctl',
] as const satisfies readonly ClientName[]

type Engine = (typeof ENGINES)[number]

/** `former`: of the engine when it may, or may not, ask the registry itself; it has to go otherwise. */
type FileKind = 'own' | 'shared' | 'json' | 'optional' | 'former'

/** What everybody may know: there is no login in a script that everybody can read. */
type PublicFacts = Omit<MirrorFacts, 'ca' | 'login' | 'fallback'>

/** POSIX: dash and busybox run it. It does nothing before its last line is there. */
export function installScript(facts: PublicFacts): string {
  return [
    '#!/bin/sh',
    '# Points the container engines of this host at a mirror. It shows what it would do, and asks before it',
    '# changes anything. Its options are told by: curl -fsSL URL | sh -s -- --help',
    '',
    `MIRROR=${shellWord(facts.url)}`,
    `ENGINES=${shellWord(ENGINES.join(' '))}`,
    '',
    '# What belongs where: engine, and whether it may ask the registry itself when the mirror says no.',
    'engine_files() {',
    '  case "$1 $2" in',
    ...ENGINES.flatMap((engine) => [fileCase(engine, facts, true), fileCase(engine, facts, false)]),
    '  esac',
    '}',
    '',
    '# What makes an engine read its files again.',
    'engine_services() {',
    '  case $1 in',
    ...ENGINES.flatMap((engine) => serviceCase(engine, facts)),
    '  esac',
    '}',
    '',
    INSTALL_FUNCTIONS.trim(),
    '',
    '# Run when it has been read to the end: what was cut off on its way does nothing.',
    '{',
    '  main "$@"',
    '}',
    '',
  ].join('\n')
}

/** The script is run by root, for whom nerdctl reads the files of containerd. */
function configOf(engine: Engine, facts: PublicFacts, fallback = true): ClientConfig {
  const config = clientConfig(engine === 'nerdctl' ? 'containerd' : engine, {
    ...facts,
    ca: undefined,
    login: undefined,
    fallback,
  })
  if (engine !== 'nerdctl') return config
  return { ...config, files: config.files.filter(({ onlyIfThere }) => !onlyIfThere), commands: [] }
}

function fileCase(engine: Engine, facts: PublicFacts, fallback: boolean): string {
  const { files } = configOf(engine, facts, fallback)
  const paths = new Set(files.map(({ path }) => path))
  const former = configOf(engine, facts, !fallback).files.filter(({ path }) => !paths.has(path))
  const calls = [
    ...files.map((file) => fileCall(kindOf(file), file)),
    ...former.map((file) => fileCall('former', file)),
  ]
  const label = shellWord(`${engine} ${fallback ? 'yes' : 'no'}`)
  return [`  ${label})`, ...(calls.length > 0 ? calls : ['    :']), '    ;;'].join('\n')
}

function fileCall(kind: FileKind, file: ClientFile): string {
  const { path, mode } = file
  const text = kind === 'optional' ? forBothVersions(file) : file.text
  return `    file ${kind} ${shellWord(path)} ${mode.toString(8)} ${shellWord(text)}`
}

function kindOf({ path, onlyIfThere }: ClientFile): FileKind {
  if (onlyIfThere) return 'optional'
  if (path.endsWith('.json')) return 'json'
  return path.endsWith('/hosts.toml') || path.includes('.d/50-entrepot.') ? 'own' : 'shared'
}

/** Of containerd 1 and 2: people see which is theirs. */
function forBothVersions(file: ClientFile): string {
  return [2, 3].map((version) => file.merge(`version = ${version}\n`)).join('\n')
}

function serviceCase(engine: Engine, facts: PublicFacts): string[] {
  const calls = configOf(engine, facts).commands.flatMap((command) => {
    const [, action, unit] = /^systemctl (reload|restart) ([\w@.-]+)$/.exec(command) ?? []
    return action !== undefined && unit !== undefined ? [`    service ${action} ${unit}`] : []
  })
  return calls.length > 0 ? [`  ${shellWord(engine)})`, ...calls, '    ;;'] : []
}
