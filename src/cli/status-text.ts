/** How a mirror is doing, for people. Pure. */
import type { Traffic } from '../traffic.ts'
import type { Paint } from './colour.ts'
import type { OperatingStatus } from './status-client.ts'
import {
  countText,
  durationText,
  rateText,
  safeText,
  shareText,
  sizeText,
  tableText,
} from './text.ts'

type UpstreamStatus = OperatingStatus['upstreams'][number]
type Download = OperatingStatus['fills']['downloads'][number]

/** @param name of the mirror, as it was asked */
export function statusText(
  name: string,
  status: OperatingStatus,
  { now, paint }: { readonly now: number; readonly paint: Paint },
): string {
  const { offline, store, fills, scrub, upstreams, traffic, startedAt } = status
  const facts = tableText(
    [
      ['mirror', `${name}${offline ? ', offline: no upstream is asked' : ''}`],
      ['store', storeText(store)],
      ['served', servedText(traffic)],
      ['saved', savedText(traffic, now - startedAt)],
      ['fills', fillsText(fills)],
      ['scrub', scrubText(scrub, now)],
      // Of what should be a number, not each was looked at.
    ].map((row) => row.map(shown)),
    (cell, column) => (column === 0 ? paint('bold', cell) : cell),
  )
  const blocks = [facts, upstreamsText(upstreams, paint)]
  if (fills.downloads.length > 0) blocks.push(downloadsText(fills.downloads, paint))
  return blocks.join('\n\n')
}

function storeText({ bytes, budget, freeBytes }: OperatingStatus['store']): string {
  return [
    `${sizeText(bytes)}${budget === undefined ? '' : ` of ${sizeText(budget)}`}`,
    ...(freeBytes === undefined ? [] : [`${sizeText(freeBytes)} free on the disk`]),
  ].join(', ')
}

function servedText({ answers, hits }: Traffic): string {
  if (answers === 0) return 'nothing yet'
  return `${countText(answers, 'manifest or blob', 'manifests and blobs')}, ${shareText(hits, answers)} of them from here`
}

function savedText({ clientBytes, upstreamBytes, savedBytes }: Traffic, age: number): string {
  const saved = sizeText(Math.max(0, savedBytes))
  return `${saved}: ${sizeText(clientBytes)} sent, ${sizeText(upstreamBytes)} fetched, in ${durationText(age)}`
}

function fillsText({ running, waitingPrefetches }: OperatingStatus['fills']): string {
  return `${countText(running, 'download')} running, ${countText(waitingPrefetches, 'blob')} waiting to be fetched in the background`
}

function scrubText(
  { checkedBytes, damaged, finishedAt }: OperatingStatus['scrub'],
  now: number,
): string {
  const last =
    finishedAt === undefined
      ? 'not through yet'
      : `last through ${durationText(now - finishedAt)} ago`
  return `${sizeText(checkedBytes)} checked, ${countText(damaged, 'damaged file')}, ${last}`
}

function upstreamsText(upstreams: readonly UpstreamStatus[], paint: Paint): string {
  const states = upstreams.map(stateOf)
  return tableText(
    [['UPSTREAM', 'STATE', 'PULLS LEFT', 'ENDPOINTS'], ...upstreams.map(upstreamRow)],
    (cell, column, row) => {
      if (row === 0) return paint('bold', cell)
      if (column === 1) return paint(STATE_COLOURS[states[row - 1] ?? 'well'], cell)
      if (column !== 2) return cell
      return BUDGET_COLOURS.reduce(
        (text, [word, colour]) => text.replace(word, (found) => paint(colour, found)),
        cell,
      )
    },
  )
}

const BUDGET_COLOURS = [
  [/^scarce/, 'yellow'],
  [/^spent/, 'red'],
] as const

function upstreamRow(upstream: UpstreamStatus): string[] {
  const { name, pullBudget, accounts, endpoints } = upstream
  // Most registries never name a limit.
  const left = accounts
    .filter(({ remaining, limit }) => remaining !== undefined || limit !== undefined)
    .map(({ account, remaining, limit }) => `${account} ${remaining ?? '?'} of ${limit ?? '?'}`)
  const places = endpoints.map(({ origin, restsFor }) =>
    restsFor >= 1000 ? `${origin} (rests ${durationText(restsFor)})` : origin,
  )
  return [name, stateText(upstream), [pullBudget, ...left].join(', '), places.join(' ')].map(shown)
}

const STATE_COLOURS = { well: 'green', some: 'yellow', none: 'red' } as const

/** How many of its endpoints can be asked. */
function stateOf({ offline, endpoints }: UpstreamStatus): keyof typeof STATE_COLOURS {
  if (offline) return 'none'
  const resting = endpoints.filter(({ restsFor }) => restsFor > 0).length
  if (resting === 0) return 'well'
  return resting < endpoints.length ? 'some' : 'none'
}

function stateText({ offline, endpoints }: UpstreamStatus): string {
  if (offline) return 'offline'
  const resting = endpoints.filter(({ restsFor }) => restsFor > 0).length
  return resting === 0 ? 'well' : `${resting} of ${endpoints.length} resting`
}

function downloadsText(downloads: readonly Download[], paint: Paint): string {
  return tableText(
    [['DOWNLOAD', 'DONE', 'RATE', 'LEFT', 'CLIENTS'], ...downloads.map(downloadRow)],
    (cell, _column, row) => (row === 0 ? paint('bold', cell) : cell),
  )
}

function downloadRow({
  upstream,
  repository,
  digest,
  bytes,
  size,
  rate,
  clients,
}: Download): string[] {
  // Enough of a digest to tell the layers of an image apart.
  const blob = digest === undefined ? '' : ` ${digest.slice(0, 'sha256:'.length + 12)}`
  return [
    `${upstream}/${repository ?? '(not yours to see)'}${blob}`,
    size === undefined ? sizeText(bytes) : `${shareText(bytes, size)} of ${sizeText(size)}`,
    rateText(rate),
    size === undefined || rate === 0 ? '' : durationText(((size - bytes) / rate) * 1000),
    clients === 0 ? 'none' : String(clients),
  ].map(shown)
}

function shown(text: string): string {
  return safeText(text)
}
