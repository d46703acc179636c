/**
 * Whole requests that are malformed, ambiguous, or about to smuggle another one, byte for byte, and
 * everything that must be answered to them before the connection is closed.
 */

/** What is wrong, the bytes (latin1), and status and code of each answer; none: only a close. */
export type BadMessage = readonly [what: string, bytes: string, verdicts: readonly string[]]

/** A request that must never be looked at: it lies where a message that is refused ends. */
export const SMUGGLED =
  'GET /v2/library/smuggled/manifests/v1 HTTP/1.1\r\nHost: mirror.example\r\n\r\n'

const HOST = 'Host: mirror.example\r\n'
const CLOSE = 'Connection: close\r\n'
const CHUNKED = 'Transfer-Encoding: chunked\r\n'
const PING = `GET /v2/ HTTP/1.1\r\n${HOST}`
const UPLOAD = `PUT /v2/library/app/manifests/v1 HTTP/1.1\r\n${HOST}`

const MALFORMED = ['400 NAME_INVALID'] as const
const TOO_LARGE = ['400 SIZE_INVALID'] as const
const UNSUPPORTED = ['405 UNSUPPORTED'] as const
const CLOSED = [] as const

const LENGTHS: BadMessage[] = [
  [
    'a length and chunks',
    `${PING}Content-Length: 5\r\n${CHUNKED}\r\n0\r\n\r\n${SMUGGLED}`,
    MALFORMED,
  ],
  [
    'chunks and a length',
    `${PING}${CHUNKED}Content-Length: 5\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    MALFORMED,
  ],
  ['two lengths', `${PING}Content-Length: 0\r\nContent-Length: 5\r\n\r\n${SMUGGLED}`, MALFORMED],
  [
    'the same length twice',
    `${PING}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`,
    MALFORMED,
  ],
  ['a list of lengths', `${PING}Content-Length: 5, 5\r\n\r\nhello${SMUGGLED}`, MALFORMED],
  ['a negative length', `${PING}Content-Length: -1\r\n\r\n${SMUGGLED}`, MALFORMED],
  ['a signed length', `${PING}Content-Length: +5\r\n\r\nhello${SMUGGLED}`, MALFORMED],
  ['a length in hex', `${PING}Content-Length: 0x5\r\n\r\nhello${SMUGGLED}`, MALFORMED],
  ['a length with a unit', `${PING}Content-Length: 5 bytes\r\n\r\nhello${SMUGGLED}`, MALFORMED],
  ['no length at all', `${PING}Content-Length:\r\n\r\n${SMUGGLED}`, MALFORMED],
  ['a length beyond 64 bits', `${PING}Content-Length: ${'9'.repeat(20)}\r\n\r\n`, MALFORMED],
  ['a length beyond 2^53', `${PING}Content-Length: 9007199254740993\r\n\r\n`, TOO_LARGE],
  ['a length in a case of its own', `${PING}cOnTeNt-LeNgTh: 5\r\n\r\nhello${SMUGGLED}`, TOO_LARGE],
  [
    'a length out of sight',
    `${PING}${'X: y\r\n'.repeat(120)}Content-Length: 5\r\n\r\nhello${SMUGGLED}`,
    TOO_LARGE,
  ],
]

const CODINGS: BadMessage[] = [
  ['an unknown coding', `${PING}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${SMUGGLED}`, CLOSED],
  ['identity', `${PING}Transfer-Encoding: identity\r\n\r\n${SMUGGLED}`, CLOSED],
  [
    'chunked not at the end',
    `${PING}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    MALFORMED,
  ],
  ['chunked twice', `${PING}${CHUNKED}${CHUNKED}\r\n0\r\n\r\n${SMUGGLED}`, MALFORMED],
  ['a coding in quotes', `${PING}Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n${SMUGGLED}`, CLOSED],
  [
    'a vertical tab before the coding',
    `${PING}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    MALFORMED,
  ],
  [
    'a space before the colon',
    `${PING}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    MALFORMED,
  ],
  [
    'a tab after the colon',
    `${PING}Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    TOO_LARGE,
  ],
  [
    'a folded coding',
    `${PING}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    MALFORMED,
  ],
  [
    'chunks in HTTP/1.0',
    `GET /v2/ HTTP/1.0\r\n${HOST}${CHUNKED}\r\n0\r\n\r\n${SMUGGLED}`,
    TOO_LARGE,
  ],
]

/** The first answer is that to the head; nothing after a body that nobody reads is a request. */
const BODIES: BadMessage[] = [
  ['a body on GET', `${PING}Content-Length: 5\r\n\r\nhello${SMUGGLED}`, TOO_LARGE],
  [
    'a request for a body',
    `${PING}Content-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`,
    TOO_LARGE,
  ],
  ['chunks on GET', `${PING}${CHUNKED}\r\n5\r\nhello\r\n0\r\n\r\n${SMUGGLED}`, TOO_LARGE],
  ['no chunk on GET', `${PING}${CHUNKED}\r\n0\r\n\r\n${SMUGGLED}`, TOO_LARGE],
  [
    'a body on a probe',
    `GET /healthz HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nhello${SMUGGLED}`,
    TOO_LARGE,
  ],
  [
    'a body on a path that is none',
    `GET /nothing HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nhello`,
    TOO_LARGE,
  ],
  ['an upload', `${UPLOAD}Content-Length: 5\r\n\r\nhello${SMUGGLED}`, UNSUPPORTED],
  ['a chunked upload', `${UPLOAD}${CHUNKED}\r\n5\r\nhello\r\n0\r\n\r\n${SMUGGLED}`, UNSUPPORTED],
  ['an upload that never ends', `${UPLOAD}Content-Length: 1000000\r\n\r\nhello`, UNSUPPORTED],
  [
    'an upload that waits to be told',
    `${UPLOAD}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n`,
    UNSUPPORTED,
  ],
  [
    'another expectation',
    `${UPLOAD}Expect: miracles\r\nContent-Length: 5\r\n\r\nhello${SMUGGLED}`,
    UNSUPPORTED,
  ],
  ['a chunk size that is none', `${UPLOAD}${CHUNKED}\r\nzz\r\n${SMUGGLED}`, CLOSED],
  ['a negative chunk', `${UPLOAD}${CHUNKED}\r\n-1\r\n${SMUGGLED}`, CLOSED],
  ['a chunk beyond 64 bits', `${UPLOAD}${CHUNKED}\r\n${'f'.repeat(18)}\r\n${SMUGGLED}`, CLOSED],
  ['bare LF after a chunk size', `${UPLOAD}${CHUNKED}\r\n5\nhello\n0\n\n${SMUGGLED}`, CLOSED],
  [
    'bare LF in a chunk extension',
    `${UPLOAD}${CHUNKED}\r\n5;a\nhello\r\n0\r\n\r\n${SMUGGLED}`,
    CLOSED,
  ],
  [
    'a chunk longer than it says',
    `${UPLOAD}${CHUNKED}\r\n5\r\nhelloXX0\r\n\r\n${SMUGGLED}`,
    UNSUPPORTED,
  ],
]

const HEADERS: BadMessage[] = [
  ['an obs-fold', `${PING}X: a\r\n b\r\n${CLOSE}\r\n`, MALFORMED],
  ['an obs-fold with a tab', `${PING}X: a\r\n\tb\r\n${CLOSE}\r\n`, MALFORMED],
  ['a space before the first header', `GET /v2/ HTTP/1.1\r\n ${HOST}${CLOSE}\r\n`, MALFORMED],
  ['NUL in a header', `${PING}X: a\0b\r\n${CLOSE}\r\n`, MALFORMED],
  ['NUL in a header name', `${PING}X\0Y: a\r\n${CLOSE}\r\n`, MALFORMED],
  ['a control character in a header', `${PING}X: a\x01b\r\n${CLOSE}\r\n`, MALFORMED],
  ['bare CR in a header', `${PING}X: a\rTransfer-Encoding: chunked\r\n${CLOSE}\r\n`, MALFORMED],
  ['bare LF', `GET /v2/ HTTP/1.1\nHost: mirror.example\n\n`, MALFORMED],
  ['bare LF between headers', `${PING}X: a\nY: b\r\n${CLOSE}\r\n`, MALFORMED],
  ['a header without a colon', `${PING}Header\r\n${CLOSE}\r\n`, MALFORMED],
  ['a header without a name', `${PING}: value\r\n${CLOSE}\r\n`, MALFORMED],
  ['a header name that is no token', `${PING}a(b): c\r\n${CLOSE}\r\n`, MALFORMED],
  ['a header name in UTF-8', `${PING}h\xc3\xa9: c\r\n${CLOSE}\r\n`, MALFORMED],
  ['a header of 20 KB', `${PING}X: ${'a'.repeat(20_000)}\r\n\r\n`, ['431 SIZE_INVALID']],
  ['a header name of 20 KB', `${PING}${'a'.repeat(20_000)}: x\r\n\r\n`, ['431 SIZE_INVALID']],
  [
    'many headers of 20 KB',
    `${PING}${`X: ${'a'.repeat(200)}\r\n`.repeat(100)}\r\n`,
    ['431 SIZE_INVALID'],
  ],
  ['101 header lines', `${PING}${'X: y\r\n'.repeat(99)}${CLOSE}\r\n`, TOO_LARGE],
]

const HOSTS: BadMessage[] = [
  ['no Host', `GET /v2/ HTTP/1.1\r\n${CLOSE}\r\n`, MALFORMED],
  ['no Host in HTTP/1.0', `GET /v2/ HTTP/1.0\r\n\r\n`, MALFORMED],
  ['an empty Host', `GET /v2/ HTTP/1.1\r\nHost:\r\n${CLOSE}\r\n`, MALFORMED],
  ['a Host that is none', `GET /v2/ HTTP/1.1\r\nHost: a b\r\n${CLOSE}\r\n`, MALFORMED],
  ['a path in Host', `GET /v2/ HTTP/1.1\r\nHost: a/b\r\n${CLOSE}\r\n`, MALFORMED],
  ['a user in Host', `GET /v2/ HTTP/1.1\r\nHost: user@mirror.example\r\n${CLOSE}\r\n`, MALFORMED],
  [
    'a port that is none',
    `GET /v2/ HTTP/1.1\r\nHost: mirror.example:99999\r\n${CLOSE}\r\n`,
    MALFORMED,
  ],
  ['brackets in Host', `GET /v2/ HTTP/1.1\r\nHost: [::1\r\n${CLOSE}\r\n`, MALFORMED],
  ['a list in Host', `GET /v2/ HTTP/1.1\r\nHost: a.example, b.example\r\n${CLOSE}\r\n`, MALFORMED],
  ['two Hosts', `${PING}Host: quay.mirror.lan\r\n\r\n${SMUGGLED}`, MALFORMED],
  ['the same Host twice', `${PING}${HOST}\r\n${SMUGGLED}`, MALFORMED],
  [
    'Host out of sight',
    `GET /v2/ HTTP/1.1\r\n${'X: y\r\n'.repeat(120)}${HOST}\r\n${SMUGGLED}`,
    MALFORMED,
  ],
]

const LINES: BadMessage[] = [
  ['nothing but a method', 'GET\r\n\r\n', UNSUPPORTED],
  ['an unknown method', `EXFILTRATE /v2/ HTTP/1.1\r\n${HOST}\r\n${SMUGGLED}`, UNSUPPORTED],
  ['a method in lower case', `get /v2/ HTTP/1.1\r\n${HOST}\r\n${SMUGGLED}`, UNSUPPORTED],
  ['a method with a control character', `GE\x01T /v2/ HTTP/1.1\r\n${HOST}\r\n`, UNSUPPORTED],
  ['a tunnel', `CONNECT evil.example:443 HTTP/1.1\r\n${HOST}\r\n${SMUGGLED}`, CLOSED],
  ['the HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', MALFORMED],
  ['HTTP/2 in the form of HTTP/1', `GET /v2/ HTTP/2.0\r\n${HOST}\r\n${SMUGGLED}`, UNSUPPORTED],
  ['a version that is none', `GET /v2/ HTTP/9.9\r\n${HOST}\r\n`, MALFORMED],
  ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', UNSUPPORTED],
  ['an SSH client', 'SSH-2.0-OpenSSH_9.2\r\n', UNSUPPORTED],
  ['anything', 'hello\r\n\r\n', UNSUPPORTED],
  ['a space in the target', `GET /v2/a b HTTP/1.1\r\n${HOST}\r\n`, MALFORMED],
  ['a tab in the target', `GET /v2/a\tb HTTP/1.1\r\n${HOST}\r\n`, MALFORMED],
  ['NUL in the target', `GET /v2/a\0b HTTP/1.1\r\n${HOST}\r\n`, MALFORMED],
  ['UTF-8 in the target', `GET /v2/\xc3\xa9/app/manifests/v1 HTTP/1.1\r\n${HOST}\r\n`, MALFORMED],
  ['0xff in the target', `GET /v2/\xff/app/manifests/v1 HTTP/1.1\r\n${HOST}\r\n`, MALFORMED],
  [
    'a target of 20 KB',
    `GET /v2/${'a'.repeat(20_000)} HTTP/1.1\r\n${HOST}\r\n`,
    ['431 SIZE_INVALID'],
  ],
]

const FORMS: BadMessage[] = [
  ['authority-form', `GET evil.example:443 HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, MALFORMED],
  ['asterisk-form', `OPTIONS * HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, MALFORMED],
  ['asterisk-form of GET', `GET * HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, MALFORMED],
  ['no slash at the front', `GET v2/ HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, MALFORMED],
  ['only a query', `GET ?/v2/ HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, MALFORMED],
  [
    'absolute-form of another scheme',
    `GET ftp://evil.example/v2/ HTTP/1.1\r\n${HOST}${CLOSE}\r\n`,
    MALFORMED,
  ],
  [
    'absolute-form with a port that is none',
    `GET http://evil.example:99999/v2/ HTTP/1.1\r\n${HOST}${CLOSE}\r\n`,
    MALFORMED,
  ],
  [
    'absolute-form with a bad name',
    `GET http://evil.example/v2/Library/app/manifests/v1 HTTP/1.1\r\n${HOST}${CLOSE}\r\n`,
    MALFORMED,
  ],
  [
    'absolute-form with dot segments',
    `GET http://evil.example/v2/../etc/passwd HTTP/1.1\r\n${HOST}${CLOSE}\r\n`,
    MALFORMED,
  ],
  [
    'absolute-form of what is not allowed',
    `GET http://quay.io/v2/private/app/manifests/v1 HTTP/1.1\r\n${HOST}${CLOSE}\r\n`,
    ['403 DENIED'],
  ],
]

const METHODS: BadMessage[] = [
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'PROPFIND',
  'PURGE',
].map((method) => [
  method,
  `${method} /v2/library/app/manifests/v1 HTTP/1.1\r\n${HOST}${CLOSE}\r\n`,
  UNSUPPORTED,
])

/** What is unusual and harmless: it is answered, and nothing is left on the connection. */
const HARMLESS: BadMessage[] = [
  [
    'names of object properties',
    `${PING}__proto__: x\r\nconstructor: y\r\ntoString: z\r\n${CLOSE}\r\n`,
    ['200'],
  ],
  ['absolute-form', `GET http://evil.example/v2/ HTTP/1.1\r\n${HOST}${CLOSE}\r\n`, ['200']],
  ['an empty body', `${PING}Content-Length: 0\r\n${CLOSE}\r\n`, ['200']],
  [
    'an upgrade',
    `${PING}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n${SMUGGLED}`,
    ['200'],
  ],
  ['a web socket', `${PING}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n${SMUGGLED}`, ['200']],
  ['an expectation without a body', `${PING}Expect: 100-continue\r\n${CLOSE}\r\n`, ['200']],
]

export const BAD_MESSAGES: readonly BadMessage[] = [
  ...LENGTHS,
  ...CODINGS,
  ...BODIES,
  ...HEADERS,
  ...HOSTS,
  ...LINES,
  ...FORMS,
  ...METHODS,
  ...HARMLESS,
]
