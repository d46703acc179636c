/** Pulls an image through the mirror as a given client would, without keeping anything of it. */
import type { ClientName } from '../clients/client-config.ts'
import { requestsOf } from '../clients/requests.ts'
import { failed, ok, skipped, warning, type Verdict } from './finding.ts'
import type { Login } from './login.ts'
import type { MirrorClient } from './mirror-client.ts'
import { createPullSession, PullFailure, type Fetched, type PullSession } from './pull-session.ts'
import {
  choosePlatform,
  imageName,
  ownPlatform,
  partsOf,
  type ImageParts,
  type Part,
  type PulledImage,
} from './pulled-image.ts'
import type { Check } from './run.ts'
import { sizeText } from '../size-text.ts'

export interface PullOptions {
  readonly image: PulledImage
  readonly client: ClientName
}

interface PullDependencies {
  readonly login: Login | undefined
  /** What a name without registry means at the mirror, where that is known. */
  readonly defaultUpstream: string | undefined
  /** Milliseconds of a monotonic clock. */
  readonly clock: () => number
  readonly needs: readonly Check[]
}

/** Milliseconds for all of it: a layer comes as fast as upstream sends it. */
const DEADLINE = 180_000
const BEGINNING_BYTES = 64 * 1024

export function createPullCheck(
  mirror: MirrorClient,
  { image, client }: PullOptions,
  { login, defaultUpstream, clock, needs }: PullDependencies,
): Check {
  return {
    name: `pull as ${client}`,
    deadline: DEADLINE,
    needs,
    async run(signal) {
      const session = createPullSession(mirror, {
        login,
        requests: requestsOf(client, { defaultUpstream }, image),
        image: imageName(image),
        clock,
        signal,
      })
      const verdicts: Verdict[] = []
      try {
        for await (const verdict of pull(session, image)) verdicts.push(verdict)
      } catch (error) {
        signal.throwIfAborted()
        verdicts.push(error instanceof PullFailure ? error.verdict : brokenOff(error))
      }
      return verdicts
    },
  }
}

async function* pull(session: PullSession, image: PulledImage): AsyncGenerator<Verdict> {
  await session.begin()
  const top = await session.manifest(image.reference)
  const json = parse(top.bytes)
  yield ok(`${imageName(image)} is ${top.digest} ${timesOf(top)}`)
  const manifest = await chosenManifest(session, json)
  if ('state' in manifest) return void (yield manifest)
  yield* pullParts(session, manifest)
}

/** The image for this platform, where the tag is of several. */
async function chosenManifest(session: PullSession, json: unknown): Promise<ImageParts | Verdict> {
  const platform = ownPlatform()
  const choice = choosePlatform(json, platform)
  if (choice === undefined) return partsOf(json)
  if (choice.digest === undefined) {
    return warning(
      `there is none for ${platform}, but for ${choice.platforms.join(', ')}`,
      'A client here says "no matching manifest": have the image built for this platform as well.',
    )
  }
  return partsOf(parse((await session.manifest(choice.digest)).bytes))
}

async function* pullParts(
  session: PullSession,
  { config, layers }: ImageParts,
): AsyncGenerator<Verdict> {
  if (config !== undefined) {
    const fetched = await session.document(config.digest)
    yield ok(`its config has the right digest ${timesOf(fetched)}`)
  }
  const bySize = layers.toSorted((a, b) => a.size - b.size)
  const [smallest] = bySize
  const largest = bySize.at(-1)
  if (smallest === undefined || largest === undefined) return void (yield skipped('no layers'))
  yield await pullLayer(session, smallest, layers.length)
  if (largest.digest !== smallest.digest) {
    const begun = await session.beginning(largest.digest, BEGINNING_BYTES)
    const of = `the largest layer (${sizeText(largest.size)})`
    yield ok(`${of} begins after ${Math.round(begun.firstByteMs)} ms (${begun.outcome})`)
  }
}

async function pullLayer(session: PullSession, { digest }: Part, count: number): Promise<Verdict> {
  const layer = await session.layer(digest)
  const milliseconds = Math.max(layer.totalMs, 1)
  // What is small says nothing of the speed.
  const pace =
    layer.size < 1024 * 1024
      ? `in ${Math.round(milliseconds)} ms`
      : `at ${sizeText((layer.size * 1000) / milliseconds)}/s`
  const which = count === 1 ? 'its only layer' : `the smallest of its ${count} layers`
  return ok(`${which} has the right digest: ${sizeText(layer.size)} ${pace} (${layer.outcome})`)
}

function brokenOff(error: unknown): Verdict {
  const reason = error instanceof Error ? error.message : String(error)
  return failed(
    `the answer broke off: ${reason}`,
    'The mirror breaks an answer off when the bytes of upstream are wrong, and so does a proxy that waits too short: see the log of both.',
  )
}

function timesOf({ outcome, totalMs }: Pick<Fetched, 'outcome' | 'totalMs'>): string {
  return `(${outcome}, ${Math.round(totalMs)} ms)`
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString()) as unknown
  } catch {
    throw new PullFailure(
      failed(
        'what came for the manifest is no JSON',
        'Something else answers in place of the mirror, such as a login page of a proxy.',
      ),
    )
  }
}
