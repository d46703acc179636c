/** Which images of an index are meant. Pure. */
import type { Digest } from '../oci/digest.ts'

interface Platform {
  readonly os: string
  readonly architecture: string
  /** `undefined`: each. */
  readonly variant: string | undefined
}

/** `all` of an index, those for no platform included. */
export type PlatformChoice = 'all' | readonly Platform[]

/** Most platforms that one job names. */
const MAX_PLATFORMS = 32

/** What is named in a message, and is no platform. */
export class PlatformError extends Error {
  override readonly name = 'PlatformError'
}

/**
 * @param texts `linux/amd64`, `linux/arm/v7`, or `all`; none: Linux on what this runs on
 * @param here as Node names it: `x64`
 * @throws {PlatformError}
 */
export function parsePlatforms(
  texts: readonly string[],
  here: string = process.arch,
): PlatformChoice {
  if (texts.includes('all')) return 'all'
  if (texts.length > MAX_PLATFORMS) {
    throw new PlatformError(`There are more than ${MAX_PLATFORMS} platforms: say "all" instead.`)
  }
  if (texts.length > 0) return texts.map(parsePlatform)
  return [{ os: 'linux', architecture: ARCHITECTURES.get(here) ?? here, variant: undefined }]
}

/** Those that Go calls otherwise than Node. */
const ARCHITECTURES: ReadonlyMap<string, string> = new Map([
  ['x64', 'amd64'],
  ['ia32', '386'],
  ['ppc64', 'ppc64le'],
])

function parsePlatform(text: string): Platform {
  const [, os, architecture, variant] =
    /^([a-z0-9]{1,32})\/([a-z0-9_]{1,32})(?:\/([a-z0-9.]{1,32}))?$/.exec(text) ?? []
  if (os === undefined || architecture === undefined) {
    const shown = JSON.stringify(text.slice(0, 64))
    throw new PlatformError(`${shown} is not a platform; write for example linux/amd64, or all.`)
  }
  return { os, architecture, variant }
}

/** What an index lists. */
export interface IndexEntry {
  readonly digest: Digest
  /** `undefined`: it is for none, as what is no image. */
  readonly platform: Platform | undefined
}

/** @param bytes of an index that was found to be one */
export function entriesOf(bytes: Uint8Array, children: readonly Digest[]): IndexEntry[] {
  const platforms = new Map<string, Platform | undefined>()
  const { manifests } = JSON.parse(Buffer.from(bytes).toString('utf8')) as { manifests: unknown[] }
  for (const entry of manifests) {
    const { digest, platform } = entry as { digest?: unknown; platform?: unknown }
    if (typeof digest === 'string') platforms.set(digest, readPlatform(platform))
  }
  return children.map((digest) => ({ digest, platform: platforms.get(digest) }))
}

function readPlatform(value: unknown): Platform | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { os, architecture, variant } = value as Record<string, unknown>
  if (typeof os !== 'string' || typeof architecture !== 'string') return undefined
  return { os, architecture, variant: typeof variant === 'string' ? variant : undefined }
}

/** What is for no platform belongs to each; what is for an unknown one, as attestations are, to none. */
export function chooseEntries(
  entries: readonly IndexEntry[],
  choice: PlatformChoice,
): readonly IndexEntry[] {
  if (choice === 'all') return entries
  return entries.filter(
    ({ platform }) => platform === undefined || choice.some((wanted) => fits(platform, wanted)),
  )
}

function fits(platform: Platform, { os, architecture, variant }: Platform): boolean {
  return (
    platform.os === os &&
    platform.architecture === architecture &&
    (variant === undefined || (platform.variant ?? DEFAULT_VARIANTS.get(architecture)) === variant)
  )
}

/** What an index that says nothing means: https://github.com/containerd/platforms */
const DEFAULT_VARIANTS: ReadonlyMap<string, string> = new Map([
  ['arm64', 'v8'],
  ['arm', 'v7'],
])

/** Those that an index has, for a message. */
export function platformTexts(entries: readonly IndexEntry[]): string[] {
  const known = entries.flatMap(({ platform }) =>
    platform === undefined || platform.os === 'unknown' ? [] : [platformText(platform)],
  )
  return [...new Set(known)]
}

function platformText({ os, architecture, variant }: Platform): string {
  return variant === undefined ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`
}
