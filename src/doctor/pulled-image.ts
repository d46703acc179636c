/** What of an image is pulled to try it: of a manifest or index, the parts that one pull needs. Pure. */
import { canonicalRegistry, DOCKER_HUB, looksLikeHost } from '../oci/registry-name.ts'
import { isDistributed } from '../oci/manifest.ts'
import { parseImage } from '../routing/image.ts'

/** An image as a client means it. */
export interface PulledImage {
  /** As in image references: `docker.io`. */
  readonly upstream: string
  /** With the `library/` that Docker Hub's own images have. */
  readonly repository: string
  /** A tag, or a digest. */
  readonly reference: string
}

export interface Part {
  readonly digest: string
  /** Bytes; 0 where the manifest does not say. */
  readonly size: number
}

export interface ImageParts {
  readonly config: Part | undefined
  /** Those that a mirror has. */
  readonly layers: readonly Part[]
}

/** @throws {OciError} when it is no name of an image */
export function parsePulledImage(text: string): PulledImage {
  const [first = ''] = text.split('/')
  const named = looksLikeHost(first) && text.includes('/') ? [canonicalRegistry(first)] : []
  const { target, tag, digest } = parseImage(
    { upstreams: new Set([DOCKER_HUB, ...named]), hosts: new Map(), defaultUpstream: DOCKER_HUB },
    text,
  )
  return { ...target, reference: digest ?? tag ?? 'latest' }
}

/** As people name it. */
export function imageName({ upstream, repository, reference }: PulledImage): string {
  return `${upstream}/${repository}${reference.includes(':') ? '@' : ':'}${reference}`
}

/** The platform that clients here would choose. */
export function ownPlatform(arch: string = process.arch): string {
  return `linux/${ARCHITECTURES.get(arch) ?? arch}`
}

const ARCHITECTURES: ReadonlyMap<string, string> = new Map([
  ['x64', 'amd64'],
  ['ia32', '386'],
  ['ppc64', 'ppc64le'],
])

interface Json {
  readonly [key: string]: unknown
}

export interface PlatformChoice {
  /** `undefined`: there is none. */
  readonly digest: string | undefined
  /** What there is, for people. */
  readonly platforms: readonly string[]
}

/** `undefined`: it is no index. */
export function choosePlatform(manifest: unknown, platform: string): PlatformChoice | undefined {
  const entries = listOf(manifest, 'manifests')
  if (entries === undefined) return undefined
  const named = entries.map((entry) => ({ digest: entry['digest'], platform: platformOf(entry) }))
  const found = named.find((it) => it.platform === platform)
  return {
    digest: typeof found?.digest === 'string' ? found.digest : undefined,
    platforms: [...new Set(named.map((it) => it.platform))].filter(
      (it) => it !== 'unknown/unknown',
    ),
  }
}

export function partsOf(manifest: unknown): ImageParts {
  const config = isJson(manifest) ? partOf(manifest['config']) : undefined
  const layers = (listOf(manifest, 'layers') ?? [])
    .filter(({ mediaType }) => typeof mediaType !== 'string' || isDistributed(mediaType))
    .map((layer) => partOf(layer))
  return { config, layers: layers.filter((it) => it !== undefined) }
}

function platformOf({ platform }: Json): string {
  if (!isJson(platform)) return 'any'
  return `${String(platform['os'])}/${String(platform['architecture'])}`
}

function partOf(value: unknown): Part | undefined {
  if (!isJson(value) || typeof value['digest'] !== 'string') return undefined
  return { digest: value['digest'], size: Number(value['size'] ?? 0) }
}

function listOf(value: unknown, key: string): Json[] | undefined {
  const list = isJson(value) ? value[key] : undefined
  return Array.isArray(list) ? list.filter(isJson) : undefined
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
