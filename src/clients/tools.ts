/** Programs for registries themselves: crane, oras and helm by name, regctl with a file. */
import type { JsonEntry, JsonPart, JsonValue } from '../formats/json.ts'
import { caFile, jsonFile, loginFile, modeFor } from './files.ts'
import { type MirrorPlace, prefixed } from './place.ts'
import type { Recipe } from './recipe.ts'

const CA = '~/.config/entrepot-ca.pem'
const CA_WORD = '"$HOME/.config/entrepot-ca.pem"'

const BY_NAME = 'It knows no mirrors: write the mirror before the name. It asks nobody else then.'

function named(place: MirrorPlace): string {
  return `${prefixed(place, place.firstUpstream)}/NAME:TAG`
}

export function crane(place: MirrorPlace): Recipe {
  const trust = place.ca === undefined ? '' : `SSL_CERT_FILE=${CA_WORD} `
  const insecure = place.isPlainHttp ? '--insecure ' : ''
  return {
    title: 'crane',
    files: [...caFile(place, CA), ...loginFile(place, '~/.docker/config.json')],
    commands: [`${trust}crane pull ${insecure}${named(place)} image.tar`],
    notes: [
      BY_NAME,
      ...(place.ca === undefined
        ? []
        : [
            'SSL_CERT_FILE takes the place of all authorities of the host; that is enough for the mirror.',
          ]),
    ],
  }
}

export function oras(place: MirrorPlace): Recipe {
  return {
    title: 'oras',
    files: [...caFile(place, CA), ...loginFile(place, '~/.docker/config.json')],
    commands: [`oras pull ${options(place)}${named(place)}`],
    notes: [BY_NAME],
  }
}

export function helm(place: MirrorPlace): Recipe {
  return {
    title: 'Helm',
    files: [...caFile(place, CA), ...loginFile(place, '~/.config/helm/registry/config.json')],
    commands: [
      `helm pull ${options(place)}oci://${prefixed(place, place.firstUpstream)}/NAME --version VERSION`,
    ],
    notes: [
      `${BY_NAME} In Chart.yaml the repository of a dependency is oci://${place.host}/REGISTRY/NAME.`,
    ],
  }
}

function options({ ca, isPlainHttp }: MirrorPlace): string {
  if (isPlainHttp) return '--plain-http '
  return ca === undefined ? '' : `--ca-file ${CA_WORD} `
}

export function regctl(place: MirrorPlace): Recipe {
  const { ca, firstUpstream, host, isPlainHttp, login, upstreams } = place
  const settings: Record<string, JsonValue> = {
    ...(isPlainHttp ? { tls: 'disabled' } : {}),
    ...(ca === undefined ? {} : { regcert: ca }),
    ...(login ? { user: login.username, pass: login.password } : {}),
  }
  const mirrors: JsonEntry[] = upstreams.map((upstream) => ({
    path: ['hosts', upstream, 'mirrors'],
    value: host,
  }))
  const part: JsonPart = {
    entries: [
      ...mirrors,
      ...(Object.keys(settings).length === 0
        ? []
        : [{ path: ['hosts'], member: host, value: settings }]),
    ],
    traces: [
      { path: ['hosts', '*', 'mirrors'], isOurs: (value) => value === host },
      { path: ['hosts'], isOurs: (_, member) => member === host, verbatim: true },
    ],
  }
  return {
    title: 'regctl',
    files: [jsonFile('~/.regctl/config.json', part, modeFor(login !== undefined))],
    commands: [`regctl image manifest ${firstUpstream}/NAME:TAG`],
    notes: [
      'regctl writes its file anew with each "regctl registry set" or login; then run this again to be able to take it out.',
      'What the mirror refuses or does not have, regctl asks the registry itself for, and no setting forbids it: write the mirror before the name, or close the way out.',
    ],
  }
}
