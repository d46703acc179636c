/** What a client is told so that it pulls through this mirror: files, commands, and what to know of it. */

/** What the configuration of a client is made from. */
export interface MirrorFacts {
  /** Base URL of the mirror, without a trailing slash, such as `https://mirror.example` or `http://10.0.0.5:5000`. */
  readonly url: string
  /** Names of the upstreams, as in image references: `docker.io`, `quay.io`. */
  readonly upstreams: readonly string[]
  /** The upstream that a name without registry means at the mirror. */
  readonly defaultUpstream: string | undefined
  /** PEM of the certificate authority that has signed the mirror's certificate, where clients do not know it. */
  readonly ca: string | undefined
  readonly login: { readonly username: string; readonly password: string } | undefined
  /** Whether the client may ask the registry itself when the mirror does not have what it wants. */
  readonly fallback: boolean
}

export interface ClientFile {
  /** Absolute path on the host; `~/` at the beginning stands for the home folder of who uses the client. */
  readonly path: string
  /** Permission bits; 0o600 where it holds a secret. */
  readonly mode: number
  /** The whole file, where there is none yet. */
  readonly text: string
  /** Never made: where it is missing, the client does without. */
  readonly onlyIfThere?: boolean
  /**
   * @param existing the file as it is, with its own line ends
   * @returns it with our part in it, all else byte for byte as it was; itself where our part is there already
   * @throws {FormatError} where it cannot be read, or says something of its own in our place
   */
  merge(existing: string): string
  /**
   * @returns it without our part, all else byte for byte as it was; `undefined`: nothing would be left
   * @throws {FormatError} where it cannot be read
   */
  remove(existing: string): string | undefined
}

export interface ClientConfig {
  readonly name: ClientName
  /** For headings, such as `Docker Engine`. */
  readonly title: string
  readonly files: readonly ClientFile[]
  /** Files that it has with other settings, another login or without one, say: our part has to be taken out of them. */
  readonly formerFiles: readonly ClientFile[]
  /** Shell commands that make the client go by its files, or that say how it is called; each a line. */
  readonly commands: readonly string[]
  /** Whole sentences: what it needs besides, what it does when the mirror says no, what cannot be had. */
  readonly notes: readonly string[]
}

export const CLIENT_NAMES = [
  'docker',
  'docker-patched',
  'containerd',
  'cri-o',
  'podman',
  'buildkit',
  'k3s',
  'rke2',
  'talos',
  'nerdctl',
  'kaniko',
  'jib',
  'skopeo',
  'crane',
  'regctl',
  'oras',
  'helm',
  'kubernetes-secret',
  'minikube',
] as const

export type ClientName = (typeof CLIENT_NAMES)[number]
