/** BuildKit with a configuration of its own. */
import type { TomlTable } from '../formats/toml.ts'
import { caFile, loginFile, tomlFile } from './files.ts'
import { type MirrorPlace, prefixed } from './place.ts'
import type { Recipe } from './recipe.ts'

const CONFIG = '/etc/buildkit/buildkitd.toml'
const CA = '/etc/buildkit/entrepot-ca.pem'

export function buildkit(place: MirrorPlace): Recipe {
  const { ca, host, isPlainHttp, upstreams } = place
  const mirrors: TomlTable[] = upstreams.map((upstream) => ({
    path: ['registry', upstream],
    keys: [{ key: 'mirrors', value: [prefixed(place, upstream)] }],
  }))
  const trust = [
    ...(isPlainHttp ? [{ key: 'http', value: true }] : []),
    ...(ca === undefined ? [] : [{ key: 'ca', value: [CA] }]),
  ]
  const tables = [
    ...mirrors,
    ...(trust.length === 0 ? [] : [{ path: ['registry', host], keys: trust }]),
  ]
  return {
    title: 'BuildKit',
    files: [
      tomlFile(CONFIG, tables, { where: 'last' }),
      ...caFile(place, CA),
      ...loginFile(place, '~/.docker/config.json'),
    ],
    commands: [
      `docker buildx create --use --buildkitd-config ${CONFIG}`,
      'systemctl restart buildkit',
    ],
    notes: [
      'The first command is for buildx, which hands the file to a builder of its own; the second for a buildkitd that runs as a service.',
      'docker build with the builder of the daemon goes by the settings of docker.',
      'What the mirror refuses or does not have, BuildKit asks the registry itself for, and no setting forbids it: write the mirror into FROM, or close the way out.',
      ...(place.login
        ? [
            'Logins come from who calls buildx or buildctl, so the login is in the file of that user.',
          ]
        : []),
    ],
  }
}
