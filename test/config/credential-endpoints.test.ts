import { describe, expect, it } from 'vitest'
import { parse, problems } from './fixtures.ts'

const HUB = 'https://registry-1.docker.io'
const COPY = 'https://mirror.gcr.io'
const ACCOUNT = 'username: one, password: two'

/** The endpoints that each credential may be shown to. */
function shownTo(name: string, endpoints: string, ...credentials: string[]) {
  const text = `upstreams: { ${name}: { ${endpoints}, credentials: [${credentials.join(', ')}] } }`
  const upstream = parse(text).upstreams.get(name)
  return upstream?.credentials.map((credential) => credential.endpoints)
}

describe('credentials that name no endpoint', () => {
  it.each([
    ['of a well-known registry are for its own', 'docker.io', [COPY, HUB], [HUB]],
    ['likewise, written otherwise', 'docker.io', [`${HUB.toUpperCase()}:443/`, COPY], [HUB]],
    ['are for all where none is its own', 'docker.io', [COPY, 'https://x'], [COPY, 'https://x']],
    [
      'of another registry are for all',
      'r.lan',
      ['https://a', 'https://b'],
      ['https://a', 'https://b'],
    ],
  ])('%s', (_, name, endpoints, expected) => {
    const list = `endpoints: ["${endpoints.join('", "')}"]`
    expect(shownTo(name, list, `{ ${ACCOUNT} }`, '{ helper: gcr }')).toEqual([expected, expected])
  })

  it('are for the endpoint that is meant by the name', () => {
    expect(shownTo('docker.io', 'realms:', `{ ${ACCOUNT} }`)).toEqual([[HUB]])
    expect(shownTo('r.lan', 'realms:', `{ ${ACCOUNT} }`)).toEqual([['https://r.lan']])
  })
})

describe('credentials that name an endpoint', () => {
  it('are for that alone', () => {
    const endpoints = `endpoints: [${HUB}, ${COPY}]`
    const helper = `{ helper: gcr, endpoint: ${COPY}/ }`
    expect(shownTo('docker.io', endpoints, helper, `{ ${ACCOUNT}, endpoint: ${HUB} }`)).toEqual([
      [COPY],
      [HUB],
    ])
  })

  it('name one of the upstream', () => {
    const at = 'upstreams.docker.io.credentials'
    expect(
      problems(`
upstreams:
  docker.io:
    endpoints: [${HUB}, ${COPY}]
    credentials:
      - { ${ACCOUNT}, endpoint: https://evil.example }
      - { helper: gcr, endpoint: mirror.gcr.io }
      - { helper: gcr, endpoint: [${COPY}] }
      - { helper: gcr, endpoints: ${COPY} }
`),
    ).toEqual([
      `6 ${at}[0].endpoint: the text is not an endpoint of docker.io; write ${HUB} or ${COPY}`,
      `7 ${at}[1].endpoint: the text is not a URL; write for example https://registry.example`,
      `8 ${at}[2].endpoint: found a list; write one of the endpoints of the upstream`,
      `9 ${at}[3].endpoints: is not a key; did you mean endpoint?`,
    ])
  })

  it.each(['', 'https://other.lan, '])(
    'may name one that was refused: it is told once',
    (other) => {
      const endpoint = 'http://r.lan/'
      const text = `upstreams: { r.lan: { endpoints: [${other}"${endpoint}"], credentials: [{ helper: x, endpoint: "${endpoint}" }] } }`
      expect(problems(text)).toEqual([expect.stringContaining('is plain HTTP')])
    },
  )
})
