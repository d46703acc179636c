/** A warm job that a running mirror does. */
import { WARM_FAILURES, type ImageSource, type WarmEvent, type WarmSummary } from '../warming.ts'
import type { ApiClient } from './api-client.ts'
import { readObject } from './json-object.ts'

/** As it was asked for: what platforms mean by default is for the mirror to say. */
export interface WarmRequest {
  readonly sources: readonly ImageSource[]
  readonly platforms: readonly string[]
  readonly concurrency: number
  readonly dryRun: boolean
}

/** What the mirror takes of one request; its body may have 64 KiB. */
const MAX_NAMED = 1000
const MAX_SELECTIONS = 100
const MAX_BYTES = 48 * 1024

/**
 * A long list is asked for in parts, one after another.
 * @throws {ControlError} as the mirror has it, and an Error where it could not be asked or gave up
 */
export async function warmRemotely(
  client: Pick<ApiClient, 'stream'>,
  { sources, ...request }: WarmRequest,
  onEvent: (event: WarmEvent) => void,
): Promise<WarmSummary> {
  const summaries: WarmSummary[] = []
  for (const part of partsOf(sources)) {
    const body = {
      images: part.flatMap((source) => ('image' in source ? [source.image] : [])),
      selections: part.filter((source) => 'repository' in source),
      ...request,
    }
    summaries.push(await warmPart(client, body, onEvent))
  }
  return sumOf(summaries)
}

async function warmPart(
  client: Pick<ApiClient, 'stream'>,
  body: object,
  onEvent: (event: WarmEvent) => void,
): Promise<WarmSummary> {
  let summary: WarmSummary | undefined
  for await (const json of client.stream('/warm', body)) {
    const event = readEvent(json)
    if (event?.event === 'summary') summary = event
    else if (event !== undefined) onEvent(event)
  }
  if (summary === undefined) throw new Error('The mirror broke the job off: its log says why.')
  return summary
}

function partsOf(sources: readonly ImageSource[]): ImageSource[][] {
  const parts: ImageSource[][] = []
  let room = { named: 0, selections: 0, bytes: 0 }
  for (const source of sources) {
    const isNamed = 'image' in source
    const bytes = Buffer.byteLength(JSON.stringify(source)) + 1
    const fits =
      room.bytes >= bytes && room.named >= Number(isNamed) && room.selections >= Number(!isNamed)
    if (!fits) {
      parts.push([])
      room = { named: MAX_NAMED, selections: MAX_SELECTIONS, bytes: MAX_BYTES }
    }
    parts.at(-1)?.push(source)
    room.bytes -= bytes
    room.named -= Number(isNamed)
    room.selections -= Number(!isNamed)
  }
  return parts
}

function sumOf(summaries: readonly WarmSummary[]): WarmSummary {
  return summaries.reduce(
    (sum, it) => ({
      event: 'summary',
      images: sum.images + it.images,
      failed: sum.failed + it.failed,
      blobs: sum.blobs + it.blobs,
      bytes: sum.bytes + it.bytes,
      alreadyThere: sum.alreadyThere + it.alreadyThere,
      milliseconds: sum.milliseconds + it.milliseconds,
    }),
    NOTHING,
  )
}

const NOTHING: WarmSummary = {
  event: 'summary',
  images: 0,
  failed: 0,
  blobs: 0,
  bytes: 0,
  alreadyThere: 0,
  milliseconds: 0,
}

/** @returns `undefined` for what a newer mirror may tell besides */
function readEvent(json: unknown): WarmEvent | undefined {
  const said = readObject(json)
  const event = said.text('event')
  switch (event) {
    case 'tags-selected':
      return {
        event,
        source: said.text('source'),
        tags: said.number('tags'),
        refused: said.number('refused'),
      }
    case 'images-selected':
      return { event, images: said.number('images') }
    case 'image-started':
      return { event, image: said.text('image') }
    case 'image-planned': {
      const [image, digest] = [said.text('image'), said.text('digest')]
      return { event, image, digest, blobs: said.number('blobs'), bytes: said.number('bytes') }
    }
    case 'blob-progress': {
      const [image, blob] = [said.text('image'), said.text('blob')]
      return { event, image, blob, bytes: said.number('bytes'), size: said.maybeNumber('size') }
    }
    case 'blob-finished': {
      const [image, blob] = [said.text('image'), said.text('blob')]
      return {
        event,
        image,
        blob,
        bytes: said.number('bytes'),
        alreadyThere: said.flag('alreadyThere'),
      }
    }
    case 'image-finished':
      return {
        event,
        image: said.text('image'),
        digest: said.text('digest'),
        blobs: said.number('blobs'),
        bytes: said.number('bytes'),
        alreadyThere: said.number('alreadyThere'),
        note: said.maybeText('note'),
      }
    case 'image-would-be-fetched': {
      const [image, digest] = [said.text('image'), said.maybeText('digest')]
      return {
        event,
        image,
        digest,
        blobs: said.maybeNumber('blobs'),
        bytes: said.maybeNumber('bytes'),
      }
    }
    case 'image-failed': {
      const reason = said.oneOf('reason', WARM_FAILURES)
      return { event, image: said.text('image'), reason, message: said.text('message') }
    }
    case 'summary':
      return {
        event,
        images: said.number('images'),
        failed: said.number('failed'),
        blobs: said.number('blobs'),
        bytes: said.number('bytes'),
        alreadyThere: said.number('alreadyThere'),
        milliseconds: said.number('milliseconds'),
      }
    default:
      return undefined
  }
}
