/** Programs that build images without a daemon: kaniko and JIB. */
import type { JsonPart } from '../formats/json.ts'
import { DOCKER_HUB } from '../oci/registry-name.ts'
import { caFile, jsonFile } from './files.ts'
import { type MirrorPlace, prefixed } from './place.ts'
import type { Recipe } from './recipe.ts'

export function kaniko(place: MirrorPlace): Recipe {
  const { ca, fallback, host, isPlainHttp, upstreams } = place
  const map = upstreams.map(
    (name) => `${name === DOCKER_HUB ? 'index.docker.io' : name}=${prefixed(place, name)}`,
  )
  const words = [
    '/kaniko/executor',
    `--registry-map "${map.join(';')}"`,
    ...(fallback ? [] : ['--skip-default-registry-fallback']),
    ...(isPlainHttp ? [`--insecure-registry ${host}`] : []),
    ...(ca === undefined ? [] : [`--registry-certificate ${host}=/kaniko/entrepot-ca.pem`]),
  ]
  return {
    title: 'kaniko',
    files: [],
    commands: [words.join(' ')],
    notes: [
      'kaniko is told by its arguments; put them before those for the build. Docker Hub is index.docker.io there.',
      ...(fallback
        ? ['What the mirror refuses or does not have, kaniko asks the registry itself for.']
        : []),
      ...(ca === undefined
        ? []
        : [
            "The certificate of the mirror's authority has to be mounted as /kaniko/entrepot-ca.pem.",
          ]),
      ...(place.login
        ? [
            `The login has to be mounted as /kaniko/.docker/config.json; "entrepot client-config kubernetes-secret" makes a secret with it for ${host}.`,
          ]
        : []),
    ],
  }
}

const JIB_CONFIG = '~/.config/google-cloud-tools-java/jib/config.json'

export function jib(place: MirrorPlace): Recipe {
  const { host, upstreams } = place
  const part: JsonPart = {
    entries: upstreams.map((upstream) => ({
      path: [
        'registryMirrors',
        { key: 'registry', is: upstream === DOCKER_HUB ? 'registry-1.docker.io' : upstream },
        'mirrors',
      ],
      value: prefixed(place, upstream),
    })),
    traces: [
      {
        path: ['registryMirrors', '*', 'mirrors'],
        isOurs: (value) => typeof value === 'string' && value.startsWith(`${host}/`),
      },
    ],
  }
  return {
    title: 'JIB',
    files: [jsonFile(JIB_CONFIG, part), ...caFile(place, '~/.config/entrepot-ca.pem')],
    commands: [],
    notes: [
      'On macOS the file is ~/Library/Application Support/Google/Jib/config.json, on Windows %LOCALAPPDATA%\\Google\\Jib\\Config\\config.json.',
      'What the mirror refuses or does not have, JIB asks the registry itself for, and no setting forbids it: name the mirror in the base image, or close the way out.',
      ...(place.isPlainHttp
        ? [
            'Without TLS the build needs allowInsecureRegistries, and -DsendCredentialsOverHttp=true if it has logins.',
          ]
        : []),
      ...(place.ca === undefined
        ? []
        : [
            'JIB trusts what Java trusts: keytool -importcert -cacerts -alias entrepot -file ~/.config/entrepot-ca.pem.',
          ]),
      ...(place.login
        ? [
            'JIB shows a mirror no login. With the mirror in the base image, the build has jib.from.auth.username and jib.from.auth.password for it.',
          ]
        : []),
    ],
  }
}
