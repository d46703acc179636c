/** What a warm job tells, in lines for people. */
import type { WarmEvent, WarmSummary } from '../warming.ts'
import { countText, durationText, safeText, sizeText } from './text.ts'

/** Characters of names and messages, which upstreams and lists may have written. */
const MAX_NAME = 1024
const MAX_MESSAGE = 1000

/** @returns a line that stays; `undefined` for what is soon outdated */
export function eventText(event: WarmEvent): string | undefined {
  switch (event.event) {
    case 'tags-selected': {
      const refused = event.refused > 0 ? `, ${event.refused} of them let in by no rule` : ''
      return `${name(event.source)}: ${countText(event.tags, 'tag')}${refused}`
    }
    case 'image-finished':
      return `${name(event.image)}: ${fetchedText(event)}${noteText(event.note)}`
    case 'image-would-be-fetched':
      return `${name(event.image)}: ${wouldText(event)}`
    case 'image-failed':
      return `${name(event.image)}: failed: ${safeText(event.message, MAX_MESSAGE)}`
    case 'summary':
    case 'images-selected':
    case 'image-started':
    case 'image-planned':
    case 'blob-progress':
    case 'blob-finished':
      return undefined
  }
  return undefined
}

/** The last line. */
export function summaryText(summary: WarmSummary, dryRun: boolean): string {
  const { images, failed, blobs, bytes, alreadyThere, milliseconds } = summary
  const counted = `${countText(images, 'image')}, ${failed === 0 ? 'none' : failed} failed`
  if (dryRun) return `${counted}. Nothing was fetched.`
  const rate = blobs === 0 ? '' : ` in ${durationText(milliseconds)}`
  return `${counted}: ${countText(blobs, 'blob')} fetched (${sizeText(bytes)}${rate}), ${alreadyThere} already there.`
}

export function name(text: string): string {
  return safeText(text, MAX_NAME)
}

type Finished = Extract<WarmEvent, { event: 'image-finished' }>

function fetchedText({ blobs, bytes, alreadyThere }: Finished): string {
  if (blobs === 0) return 'all of it was here'
  const here = alreadyThere === 0 ? '' : `, ${alreadyThere} already there`
  return `${countText(blobs, 'blob')} fetched (${sizeText(bytes)})${here}`
}

function noteText(note: string | undefined): string {
  return note === undefined ? '' : `; ${safeText(note, MAX_MESSAGE)}`
}

type Would = Extract<WarmEvent, { event: 'image-would-be-fetched' }>

function wouldText({ blobs, bytes }: Would): string {
  if (blobs === undefined || bytes === undefined) {
    return 'would be fetched; how much it is, its manifest will tell'
  }
  return blobs === 0
    ? 'all of it is here'
    : `${countText(blobs, 'blob')} would be fetched (${sizeText(bytes)})`
}
