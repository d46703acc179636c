/**
 * Ways to write an address that must not be connected to, as URLs in which `PORT` and `SCHEME` stand for
 * those of the servers that would notice, and `ALLOWED` for the one address that may be connected to.
 */

export interface Spelling {
  readonly url: string
  /**
   * What DNS says of the host, one answer after the other, the last one from then on. Without it: what
   * DNS in an attacker's hand would say.
   */
  readonly answers?: readonly (readonly string[])[]
}

export const DEFAULT_ANSWERS = [['127.0.0.1']] as const

type Octets = readonly [number, number, number, number]

const IPV4: readonly Octets[] = [
  [127, 0, 0, 1],
  [127, 255, 255, 254],
  [0, 0, 0, 0],
  [10, 0, 0, 1],
  [172, 16, 5, 4],
  [192, 168, 1, 1],
  [169, 254, 169, 254], // metadata of most clouds
  [100, 100, 100, 200], // Alibaba Cloud's
  [192, 0, 0, 192], // Oracle Cloud's
  [168, 63, 129, 16], // Azure's platform
  [198, 18, 0, 1],
  [224, 0, 0, 251],
  [255, 255, 255, 255],
]

const dotted = (octets: Octets): string => octets.join('.')
const whole = ([a, b, c, d]: Octets): number => ((a * 256 + b) * 256 + c) * 256 + d
const hex = (value: number): string => `0x${value.toString(16)}`
const octal = (value: number): string => `0${value.toString(8)}`
/** As the two groups of an IPv6 address. */
const groups = ([a, b, c, d]: Octets): string =>
  `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
const inverted = ([a, b, c, d]: Octets): Octets => [255 - a, 255 - b, 255 - c, 255 - d]
const withDigits =
  (digits: readonly string[]) =>
  (octets: Octets): string =>
    dotted(octets).replace(/\d/g, (digit) => digits[Number(digit)] ?? digit)
const from = (first: number): string[] =>
  Array.from({ length: 10 }, (_, digit) => String.fromCodePoint(first + digit))

/** The parser of URLs makes an IPv4 address of all of these. */
const IPV4_FORMS: readonly ((octets: Octets) => string)[] = [
  dotted,
  (octets) => String(whole(octets)),
  (octets) => hex(whole(octets)),
  (octets) => hex(whole(octets)).toUpperCase(),
  (octets) => octal(whole(octets)),
  (octets) => octets.map(hex).join('.'),
  (octets) => octets.map(octal).join('.'),
  (octets) => octets.map((octet) => `0000${octal(octet)}`).join('.'),
  ([a, b, c, d]) => `${hex(a)}.${octal(b)}.${c}.${hex(d)}`,
  ([a, ...rest]) => `${a}.${whole([0, ...rest])}`,
  ([a, ...rest]) => `${hex(a)}.${hex(whole([0, ...rest]))}`,
  ([a, b, c, d]) => `${a}.${b}.${c * 256 + d}`,
  (octets) => `${dotted(octets)}.`,
  (octets) => `${hex(whole(octets))}.`,
  (octets) => dotted(octets).replace(/./g, (it) => `%${it.charCodeAt(0).toString(16)}`),
  (octets) => dotted(octets).replaceAll('.', '%2e'),
  (octets) => dotted(octets).replaceAll('.', '。'),
  (octets) => dotted(octets).replaceAll('.', '．'),
  (octets) => encodeURIComponent(withDigits(from(0xff10))(octets)),
  withDigits(from(0xff10)), // fullwidth
  withDigits(from(0x1d7ce)), // mathematical bold
  withDigits('⓪①②③④⑤⑥⑦⑧⑨'.split('')),
  withDigits('⁰¹²³⁴⁵⁶⁷⁸⁹'.split('')),
  (octets) => dotted(octets).replaceAll('.', '\u00ad.\u200b'),
  (octets) => `user:secret@${dotted(octets)}`,
  (octets) => `ALLOWED@${dotted(octets)}`,
  (octets) => `registry.test%40${dotted(octets)}`,
]

/** IPv6 addresses in which an IPv4 address hides. */
const EMBEDDED: readonly ((octets: Octets) => string)[] = [
  (octets) => `::ffff:${dotted(octets)}`,
  (octets) => `::ffff:${groups(octets)}`,
  (octets) => `::FFFF:${groups(octets).toUpperCase()}`,
  (octets) => `0:0:0:0:0:ffff:${dotted(octets)}`,
  (octets) => `0000:0000:0000:0000:0000:ffff:${groups(octets)}`,
  (octets) => `::${dotted(octets)}`, // IPv4-compatible
  (octets) => `::${groups(octets)}`,
  (octets) => `::ffff:0:${dotted(octets)}`, // SIIT
  (octets) => `64:ff9b::${dotted(octets)}`, // NAT64
  (octets) => `64:ff9b::${groups(octets)}`,
  (octets) => `0064:FF9B:0:0:0:0:${groups(octets).toUpperCase()}`,
  (octets) => `64:ff9b:1::${dotted(octets)}`, // NAT64 of a local network
  (octets) => `64:ff9b:1:ffff:ffff:ffff:${groups(octets)}`,
  (octets) => `64:ff9b:1:${groups(octets)}::`,
  (octets) => `2002:${groups(octets)}::`, // 6to4
  (octets) => `2002:${groups(octets)}::1`,
  (octets) => `2001:0:${groups(octets)}::`, // server of Teredo
  (octets) => `2001:0:808:808:0:ffff:${groups(inverted(octets))}`, // its client
  (octets) => `fe80::5efe:${dotted(octets)}`, // ISATAP
]

const IPV6 = [
  '::',
  '::1',
  '0:0:0:0:0:0:0:1',
  '0000:0000:0000:0000:0000:0000:0000:0001',
  '::0.0.0.1',
  '100::1',
  '2001:2::1',
  '2001:10::1',
  '2001:20::1',
  '2001:db8::1',
  '2620:4f:8000::1',
  '3fff::1',
  '4000::1',
  '5f00::1',
  'fc00::1',
  'fd00:ec2::254', // metadata of EC2
  'fd20:ce::254', // of Google Cloud
  'fe80::1',
  'fe80::a9fe:a9fe',
  'fe80::1%25lo',
  'fe80::1%lo',
  '::1%25lo',
  '::ffff:127.0.0.1%25lo',
  'fec0::1',
  'ff02::1',
]

/** Names that lead home on many machines, and names whose look says so. */
const NAMES = [
  'localhost',
  'LOCALHOST',
  'localhost.',
  'lOcAlHoSt..',
  'localhost.localdomain',
  'registry.localhost',
  'ip6-localhost',
  'ip6-loopback',
  'ⓛⓞⓒⓐⓛⓗⓞⓢⓣ',
  'ｌｏｃａｌｈｏｓｔ',
  'local\u00adhost',
  '%6c%6f%63%61%6c%68%6f%73%74',
  'loopback',
  'broadcasthost',
  'metadata',
  'metadata.google.internal',
  'metadata.google.internal.',
  'instance-data',
  'instance-data.ec2.internal',
  'host.docker.internal',
  'gateway.docker.internal',
  'host.containers.internal',
  'kubernetes.default.svc',
  'kubernetes.default.svc.cluster.local',
  'registry.local',
  'wpad',
  '127.0.0.1.nip.test',
  '127-0-0-1.nip.test',
  '7f000001.nip.test',
  '0x7f.1.nip.test',
  'registry.test.127.0.0.1.nip.test',
  'xn--localhost-.test',
  'bücher.test',
  'quаy.test', // Cyrillic а
  'registry_with_underscore.test',
  `${'a'.repeat(63)}.test`,
]

/** No URL of a server at all, or one that another parser would read in another way. */
const ODD_URLS = [
  '//127.0.0.1:PORT/x',
  '///127.0.0.1:PORT/x',
  String.raw`\\127.0.0.1:PORT\x`,
  String.raw`/\127.0.0.1:PORT/x`,
  'SCHEME:127.0.0.1:PORT/x',
  'SCHEME:/127.0.0.1:PORT/x',
  'SCHEME:///127.0.0.1:PORT/x',
  String.raw`SCHEME:\\127.0.0.1:PORT\x`,
  'SCHEME://127.0.0.1:0000PORT/x',
  'SCHEME://127.0.0.1:PORT',
  'SCHEME://127.0.0.1:PORT#@ALLOWED/x',
  'SCHEME://127.0.0.1:PORT?@ALLOWED/x',
  String.raw`SCHEME://127.0.0.1:PORT\@ALLOWED/x`,
  'SCHEME://ALLOWED:PORT@127.0.0.1:PORT/x',
  'SCHEME://ALLOWED%20@127.0.0.1:PORT/x',
  'SCHEME://ALLOWED@@127.0.0.1:PORT/x',
  'SCHEME://ALLOWED:80:80@127.0.0.1:PORT/x',
  'SCHEME://@127.0.0.1:PORT/x',
  'SCHEME://127.0.0.1\t:PORT/x',
  'SCHEME://127.0.0.1%00.registry.test:PORT/x',
  'SCHEME://127.0.0.1%2f.registry.test:PORT/x',
  'SCHEME://127.0.0.1:99999/x',
  'SCHEME://127.0.0.256:PORT/x',
  'SCHEME://0x100000000:PORT/x',
  'SCHEME://1.2.3.4.5:PORT/x',
  'SCHEME://127.0.0.0x:PORT/x',
  'SCHEME://[127.0.0.1]:PORT/x',
  'SCHEME://[::ffff:127.1]:PORT/x',
  'SCHEME://[::1:PORT/x',
  'SCHEME://[::ffff:7f00:1',
  'SCHEME://:PORT/x',
  'ftp://127.0.0.1:PORT/x',
  'file:///etc/passwd',
  'file://127.0.0.1/etc/passwd',
  'gopher://127.0.0.1:PORT/_GET',
  'dict://127.0.0.1:PORT/d',
  'ws://127.0.0.1:PORT/x',
  'unix:/var/run/docker.sock',
  'http+unix://%2Fvar%2Frun%2Fdocker.sock/x',
  'data:application/json,{}',
  'javascript:0',
  '127.0.0.1:PORT',
]

/** Answers of DNS with something in them that must not be connected to. */
const ANSWERS: readonly (readonly string[])[] = [
  ...IPV4.map((octets) => [dotted(octets)]),
  ...EMBEDDED.map((form) => [form([127, 0, 0, 1])]),
  ...EMBEDDED.map((form) => ['ALLOWED', form([169, 254, 169, 254])]),
  ...IPV4.map((octets) => ['ALLOWED', dotted(octets)]),
  ['127.0.0.1', 'ALLOWED'],
  ['ALLOWED', 'ALLOWED', '::1'],
  ['::1', 'ALLOWED'],
  ['ALLOWED', 'fe80::1'],
  ['ALLOWED', 'fe80::1%lo'],
  ['fe80::1%lo'],
  ['::1%lo'],
  ['::ffff:127.0.0.1%lo'],
  ['93.184.216.34', '127.0.0.1'],
  ['2606:4700::1111', '::1'],
  ['127.1'],
  ['0x7f000001'],
  ['2130706433'],
  ['127.0.0.1.'],
  [' 127.0.0.1'],
  ['[::1]'],
  ['localhost'],
  [''],
  [],
]

/** First an address that may be connected to, and another one when the name is asked for again. */
const REBINDINGS: readonly (readonly (readonly string[])[])[] = [
  [['ALLOWED'], ['127.0.0.1']],
  [['ALLOWED'], ['ALLOWED', '127.0.0.1']],
  [['ALLOWED'], ['127.0.0.1', 'ALLOWED']],
  [['ALLOWED'], ['::1']],
  [['ALLOWED'], ['::ffff:127.0.0.1']],
  [['ALLOWED'], ['64:ff9b::7f00:1']],
  [['ALLOWED'], ['0.0.0.0']],
  [['ALLOWED'], ['169.254.169.254']],
  [['ALLOWED'], []],
  [['ALLOWED'], ['ALLOWED'], ['127.0.0.1']],
  [['ALLOWED'], ['ALLOWED'], ['ALLOWED'], ['::1']],
]

/** Its server sends whoever comes to the same name again. */
export const REBINDING = 'rebinding-'

export const SPELLINGS: readonly Spelling[] = unique([
  ...IPV4.flatMap((octets) => IPV4_FORMS.map((form) => at(form(octets)))),
  ...IPV4.flatMap((octets) => EMBEDDED.map((form) => at(`[${form(octets)}]`))),
  ...IPV6.map((address) => at(`[${address}]`)),
  ...NAMES.map(at),
  ...ODD_URLS.map((url) => ({ url })),
  ...ANSWERS.map((answer, number) => ({ ...at(`answer-${number}.test`), answers: [answer] })),
  ...REBINDINGS.map((answers, number) => ({ ...at(`${REBINDING}${number}.test`), answers })),
])

function at(host: string): Spelling {
  return { url: `SCHEME://${host}:PORT/x` }
}

function unique(spellings: readonly Spelling[]): Spelling[] {
  return [...new Map(spellings.map((spelling) => [spelling.url, spelling])).values()]
}
