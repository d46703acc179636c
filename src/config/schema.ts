/** What can be configured: the types that the rest of the program receives. */

export type Listen =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }
  /** A socket that systemd has opened: the one of this name, or the only one. */
  | { readonly kind: 'systemd'; readonly name: string | undefined }

export interface Timeouts {
  /** Milliseconds until a connection to upstream must stand. */
  readonly connect: number
  /** Milliseconds until the response headers of upstream must have come. */
  readonly firstByte: number
  /** Longest pause in an upstream body, in milliseconds. */
  readonly idle: number
  /** Milliseconds without an answer after which the next endpoint is asked as well. */
  readonly hedge: number
}

/** A user of an upstream, or a program `docker-credential-<helper>` that is asked for one. */
export type Credential = (
  { readonly username: string; readonly password: string } | { readonly helper: string }
) & {
  /** Those of the upstream that it is for, as they are written there: no other ever sees it. */
  readonly endpoints: readonly string[]
}

export interface UpstreamConfig {
  /** As in image references, e.g. `docker.io`. */
  readonly name: string
  /** Base URLs in order of preference, without `/v2` and without a trailing slash. */
  readonly endpoints: readonly string[]
  readonly credentials: readonly Credential[]
  /** `host` or `host:port` of the token servers that this upstream's credentials may go to, besides its endpoints. */
  readonly realms: readonly string[]
  /** Plain HTTP is meant. */
  readonly insecure: boolean
  /** PEM of the certificate authorities to trust instead of the public ones. */
  readonly ca: string | undefined
  /** CIDR blocks of private addresses that this upstream may resolve to. */
  readonly networks: readonly string[]
  /** Milliseconds for which a tag is believed without asking upstream. */
  readonly tagTtl: number
  /** Milliseconds after that in which a tag is served at once as it was, and asked for meanwhile. */
  readonly staleWhileRevalidate: number
  /** Milliseconds since upstream last confirmed a tag for which it is served in an outage; `Infinity`: no limit. */
  readonly staleIfError: number
  /** What upstream has deleted can still be pulled by its tag. */
  readonly keepDeleted: boolean
  /** Whether the rest of an image is fetched when its manifest is pulled. */
  readonly complete: 'pulled' | 'off'
  /** Connections over which one large blob is fetched at a time, where that is measured to be faster; 1: never more. */
  readonly connections: number
  readonly timeouts: Timeouts
}

export interface TlsCertificate {
  /** PEM, leaf first. */
  readonly certificate: string
  readonly key: string
  /** Absolute paths of what they were read from. */
  readonly files: readonly string[]
}

/** A line of `allow`. */
export interface AllowRule {
  readonly pattern: string
  /** Milliseconds that a digest must have been known upstream before it is served; 0: none. */
  readonly minAge: number
}

export interface Config {
  readonly listen: Listen
  /** What clients call this mirror; `undefined`: taken from each request. */
  readonly publicUrl: string | undefined
  /** Absolute path of the data folder. */
  readonly data: string
  /** Bytes that the store may take; `undefined`: no limit. */
  readonly budget: number | undefined
  /** Bytes down to which the store is emptied once it is over its budget; at most the budget. */
  readonly lowWatermark: number | undefined
  /** Milliseconds without use after which content goes; `undefined`: never. */
  readonly maxUnused: number | undefined
  /** Bytes of the disk that are left free. */
  readonly minFree: number
  /** Patterns of images that never go, as in `allow`. */
  readonly pin: readonly string[]
  /** Bytes per second at which stored files are read again and checked; 0: never. */
  readonly scrubRate: number
  /** Bytes of small answers that are kept in memory; 0: none. */
  readonly memory: number
  /** Processes that serve; 1: the one that fetches does so itself. */
  readonly workers: number
  /** The kernel may copy stored files to plain connections, where this machine can. */
  readonly sendfile: boolean
  readonly defaultUpstream: string | undefined
  readonly upstreams: ReadonlyMap<string, UpstreamConfig>
  /** Host name, lower case, as clients send it → upstream name. */
  readonly hosts: ReadonlyMap<string, string>
  readonly offline: boolean
  /** What a client is told when upstream limits us and nothing is cached. */
  readonly rateLimitStatus: 429 | 503
  readonly tls: readonly TlsCertificate[]
  readonly allow: readonly AllowRule[]
  readonly deny: readonly string[]
  /** Patterns of what may be pulled without a user; `**` where the file says nothing. */
  readonly anonymous: readonly string[]
  /** Absolute path of a file of users, as `htpasswd -B` writes it. */
  readonly htpasswd: string | undefined
  /** What users of that file may do, by name; those that are not named may pull everything. */
  readonly grants: ReadonlyMap<string, readonly Grant[]>
  /** CIDR blocks of proxies whose X-Forwarded-* headers are believed; `unix`: whoever comes by a socket file. */
  readonly trustedProxies: readonly string[]
  /** Where the API for operators answers, with metrics and status: beside the registry, nowhere, or on its own. */
  readonly api: 'same' | 'off' | Listen
  /** Metrics and status need no user. */
  readonly anonymousStatus: boolean
  /** Least level of lines in the log. */
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error'
  /** Is told of new requests for access. */
  readonly webhook: WebhookConfig | undefined
  /** What is fetched at set times. */
  readonly warm: readonly WarmSchedule[]
}

/** Images that are fetched before anybody pulls them. */
export interface WarmSchedule {
  /** A cron expression of five fields, or one such as `@daily`. */
  readonly schedule: string
  /** IANA name; `undefined`: that of the process. */
  readonly timeZone: string | undefined
  /** Milliseconds by which a run begins later at most, by chance. */
  readonly jitter: number
  readonly images: readonly string[]
  /** Absolute path of a list of images, read at each run. */
  readonly file: string | undefined
  /** Of indexes: `linux/amd64`, or `all`; none: Linux on what the mirror runs on. */
  readonly platforms: readonly string[]
  /** Downloads at a time. */
  readonly concurrency: number
}

export interface WebhookConfig {
  readonly url: string
  /** Key of the HMAC that each message carries. */
  readonly secret: string
}

/** As in `access/`. */
interface Grant {
  readonly role: 'pull' | 'push' | 'operate' | 'admin'
  readonly pattern: string
}
