/** Faults that come instead of an answer. */
import { buildImage } from '../../fakes/images.ts'
import { headText, type Step, wholeAnswer } from '../../fakes/raw-wire.ts'
import type { PlaceName } from './bad-places.ts'
import {
  type Fault,
  type FaultyExchange,
  instead,
  location,
  OF_REGISTRY,
  type Phase,
  PHASES,
  redirectTo,
  repeat,
  RESUMED,
  status,
  withHeaders,
} from './fault.ts'

const KIB = 1024
const DRIP_MS = 50
const CLOSE: Step = { end: 'close' }
const NEVER: Step = { end: 'never' }

const CONNECTION_FAULTS: readonly Fault[] = [
  every('reset before the answer', () => [{ end: 'reset' }]),
  every('close before the answer', () => [CLOSE]),
  every('no answer', () => [NEVER]),
  every('close within the headers', ({ healthy }) => [
    { send: headText(healthy).slice(0, 30) },
    CLOSE,
  ]),
  every('stall within the headers', ({ healthy }) => [
    { send: headText(healthy).slice(0, 30) },
    NEVER,
  ]),
  every('headers byte by byte', () => drip('HTTP/1.1 200 OK\r\nx-filler: '.padEnd(10_000, 'x'))),
  every('1xx without end', () => repeat({ send: 'HTTP/1.1 103 Early Hints\r\n\r\n' }, 1)),
  every('one large header', ({ healthy }) => [
    { send: headText(withFiller(healthy.headers, 'x'.repeat(65 * KIB))) },
    CLOSE,
  ]),
  every('ten thousand headers', ({ healthy }) => [
    { send: headText({ ...healthy, headers: fillers(10_000) }) },
    CLOSE,
  ]),
  every('garbage', () => [{ send: 'SSH-2.0-OpenSSH_9.9\r\n\u0000\u00ff\r\n\r\n' }, CLOSE]),
  every('the request as the answer', ({ text }) => [{ send: `${text}\r\n\r\n` }, CLOSE]),
  every('two lengths', (exchange) => [
    ...wholeAnswer(withHeaders(exchange, { 'content-length': '1\r\ncontent-length: 2' }), 'GET'),
    CLOSE,
  ]),
  every('a length and chunks', (exchange) => [
    ...wholeAnswer(withHeaders(exchange, { 'transfer-encoding': 'chunked' }), 'GET'),
    CLOSE,
  ]),
  every('a header with a bare line feed', (exchange) => [
    ...wholeAnswer(withHeaders(exchange, { 'x-a': 'b\nset-cookie: c' }), 'HEAD'),
    CLOSE,
  ]),
]

const STATUSES = [204, 205, 304, 400, 403, 404, 410, 416, 418, 451, 500, 502, 503, 504, 599]

const STATUS_FAULTS: readonly Fault[] = [
  ...STATUSES.map((code) => every(String(code), status(code))),
  every('429 for a second', status(429, { 'retry-after': '1' })),
  every('503 for a second', status(503, { 'retry-after': '1' })),
  { ...every('429', status(429)), restart: true },
  { ...every('429 for an hour', status(429, { 'retry-after': '3600' })), restart: true },
  {
    ...every('503 until a date', status(503, { 'retry-after': 'Fri, 31 Dec 2999 23:59:59 GMT' })),
    restart: true,
  },
  { ...every('401 without a challenge', status(401)), unauthorized: true },
  every('401 for ever', (exchange) =>
    status(401, { 'www-authenticate': `Bearer realm="${exchange.realm}"` })(exchange),
  ),
  every('a token that is refused at once', (exchange) => {
    exchange.revoke()
    return status(401, { 'www-authenticate': 'Bearer error="invalid_token"' })(exchange)
  }),
  every('500 that quotes the request', (exchange) =>
    instead(exchange, {
      status: 500,
      headers: { 'x-quoted': quoted(exchange) },
      body: exchange.text,
    }),
  ),
  every('a web page', (exchange) =>
    instead(exchange, { headers: { 'content-type': 'text/html' }, body: '<!doctype html>' }),
  ),
  every('a web page that quotes the request', (exchange) =>
    instead(exchange, { headers: { 'content-type': 'text/html' }, body: exchange.text }),
  ),
  of(['token', 'manifest', 'blob start'], '206 to a plain GET', (exchange) =>
    wholeAnswer(
      { ...withHeaders(exchange, { 'content-range': 'bytes 0-1/2' }), status: 206 },
      'GET',
    ),
  ),
]

const REDIRECT_FAULTS: readonly Fault[] = [
  every('a redirect to itself', (exchange) => location(exchange, exchange.url.href)),
  every('redirects without end', (exchange) => {
    const next = new URL(exchange.url)
    next.searchParams.append('again', '1')
    return location(exchange, next.href)
  }),
  every('a redirect from HTTPS to HTTP', redirectTo('downgrades')),
  every('a redirect to another host', redirectTo('stranger')),
  every('a redirect to a private address', redirectTo('private')),
  every('a redirect to a file', (exchange) => location(exchange, 'file:///etc/passwd')),
  every('a redirect with a password', (exchange) =>
    location(exchange, exchange.url.href.replace('//', '//user:pass@')),
  ),
  every('a redirect to nowhere', (exchange) => location(exchange, 'http://')),
  every('a redirect that quotes the token', (exchange) =>
    location(exchange, `${exchange.places.refuses}/?secret=${quoted(exchange)}`),
  ),
  every('a redirect to an untrusted certificate', redirectTo('wrongAuthority')),
  every('a redirect to a certificate for another name', redirectTo('wrongName')),
  every('a redirect to an expired certificate', redirectTo('expired')),
  every('a redirect to a broken handshake', redirectTo('breaksHandshake')),
  every('a redirect to a name without address', redirectTo('unresolvable')),
  every('a redirect to a closed port', redirectTo('refuses')),
  every('a redirect to a silent server', redirectTo('silent')),
]

const REALM_FAULTS: readonly Fault[] = [
  realm('a realm of somebody else', 'unpinned'),
  realm('a realm at a private address', 'private'),
  realm('a realm at a closed port', 'refuses'),
  realm('a realm that is silent', 'silent'),
  realm('a realm with an untrusted certificate', 'wrongAuthority'),
  realm('a realm with a certificate for another name', 'wrongName'),
  realm('a realm with an expired certificate', 'expired'),
  realm('a realm that leads to plain HTTP', 'downgrades'),
  ...[
    '{}',
    '[]',
    'null',
    '{"token":{"a":1}}',
    '{"token":"a\\r\\nx-injected: 1"}',
    '{"token":"',
  ].map((body) => of(['token'], `the token ${body}`, (exchange) => instead(exchange, { body }))),
]

const OTHER = buildImage({ seed: 'the manifest of something else' })
const MANIFEST: readonly Phase[] = ['manifest']

const CONTENT_FAULTS: readonly Fault[] = [
  of(['head', 'manifest', 'blob start'], 'the digest of something else', (exchange) =>
    wholeAnswer(withHeaders(exchange, { 'docker-content-digest': OTHER.digest }), exchange.method),
  ),
  of(['head', 'manifest'], 'a digest that is none', (exchange) =>
    wholeAnswer(withHeaders(exchange, { 'docker-content-digest': 'sha256:x' }), exchange.method),
  ),
  of(
    ['head'],
    'no length',
    (exchange) => [...wholeAnswer(withHeaders(exchange, { 'content-length': null }), 'HEAD')],
    ['head'],
  ),
  of(['head', 'manifest'], 'another media type', (exchange) =>
    wholeAnswer(
      withHeaders(exchange, { 'content-type': 'application/vnd.oci.image.index.v1+json' }),
      exchange.method,
    ),
  ),
  of(MANIFEST, 'another manifest', (exchange) => changed(exchange, OTHER.bytes)),
  of(MANIFEST, 'a manifest that is no JSON', (exchange) =>
    changed(
      exchange,
      exchange.healthy.body.map((byte) => byte ^ 1),
    ),
  ),
  of(MANIFEST, 'a manifest above 4 MiB', (exchange) =>
    changed(exchange, Buffer.alloc(4 * KIB * KIB + 1, ' ')),
  ),
  of(RESUMED, 'a range that begins later', (exchange) =>
    ranged(exchange, exchange.first + 1, exchange.healthy.body.subarray(1)),
  ),
  of(RESUMED, 'a range that begins later and hides it', (exchange) =>
    ranged(exchange, exchange.first, exchange.healthy.body.subarray(1)),
  ),
  of(RESUMED, 'a range of another whole', (exchange) =>
    ranged(exchange, exchange.first, exchange.healthy.body, exchange.healthy.body.length + 1),
  ),
  of(RESUMED, 'a range that does not say which', (exchange) =>
    wholeAnswer(withHeaders(exchange, { 'content-range': null }), 'GET'),
  ),
  of(RESUMED, 'a range in other units', (exchange) =>
    wholeAnswer(withHeaders(exchange, { 'content-range': 'lines 1-2/3' }), 'GET'),
  ),
  of(RESUMED, 'a part labelled as the whole', (exchange) =>
    wholeAnswer(withHeaders(exchange, { 'content-range': null }, 200), 'GET'),
  ),
]

export const ANSWER_FAULTS: readonly Fault[] = [
  ...CONNECTION_FAULTS,
  ...STATUS_FAULTS,
  ...REDIRECT_FAULTS,
  ...REALM_FAULTS,
  ...CONTENT_FAULTS,
]

type Play = Fault['play']

function every(name: string, play: Play): Fault {
  return { name, phases: PHASES, play }
}

function of(
  phases: readonly Phase[],
  name: string,
  play: Play,
  harmless?: readonly Phase[],
): Fault {
  return { name, phases, play, ...(harmless && { harmless }) }
}

/** The registry no longer believes our token, and sends us there for a new one. */
function realm(name: string, place: PlaceName): Fault {
  const swapped = of(OF_REGISTRY, name, (exchange) => {
    const challenge = `Bearer realm="${exchange.places[place]}/token",service="raw"`
    return status(401, { 'www-authenticate': challenge })(exchange)
  })
  return { ...swapped, unauthorized: true }
}

function drip(text: string): Iterable<Step> {
  return text.split('').flatMap((byte) => [{ send: byte }, { pause: DRIP_MS }])
}

function withFiller(headers: Readonly<Record<string, string>>, filler: string) {
  return { status: 200, headers: { ...headers, 'x-filler': filler } }
}

function fillers(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`x-${index}`, 'x']))
}

/** The bytes, with the digest and type of what was asked for. */
function changed(exchange: FaultyExchange, body: Uint8Array): Step[] {
  const length = String(body.length)
  return wholeAnswer({ ...withHeaders(exchange, { 'content-length': length }), body }, 'GET')
}

function ranged(
  exchange: FaultyExchange,
  first: number,
  body: Uint8Array,
  whole = exchange.first + exchange.healthy.body.length,
): Step[] {
  const range = `bytes ${first}-${first + body.length - 1}/${whole}`
  return changed({ ...exchange, healthy: withHeaders(exchange, { 'content-range': range }) }, body)
}

/** The credential of the request, as a server may put it where it does not belong. */
function quoted({ text }: FaultyExchange): string {
  return encodeURIComponent(/^authorization: \S+ (\S+)$/im.exec(text)?.[1] ?? '')
}
