/** entrepot status: how a running mirror is doing. */
import { loggable } from '../log.ts'
import type { MirrorStatus } from '../maintenance.ts'
import { readToken } from './api-token.ts'
import { failWith, type Command } from './command.ts'
import { readArguments } from './configuration.ts'
import { addressOf, ownAddress } from './mirror-address.ts'
import { askStatus, parseStatus } from './status-client.ts'
import { countText, durationText, sizeText, tableText } from './text.ts'

const OPTIONS = { server: 'string', 'token-file': 'string', json: 'boolean' } as const

export const status: Command = async (args, io, signal) => {
  try {
    const { source, options } = readArguments(args, io.env, OPTIONS)
    const { server, json } = options
    const address = server === undefined ? ownAddress(source.load()) : addressOf(server)
    const token = readToken(options['token-file'], io.env, address)
    const answer = parseStatus(await askStatus(address, token, signal))
    io.out(
      json === true
        ? JSON.stringify(answer, undefined, 2)
        : describe(address.name, answer, Date.now()),
    )
    return 0
  } catch (error) {
    return failWith(io, error)
  }
}

function describe(
  name: string,
  { offline, store, fills, scrub, upstreams }: MirrorStatus,
  now: number,
): string {
  const facts = tableText([
    ['mirror', `${name}${offline ? ', offline: no upstream is asked' : ''}`],
    ['store', storeText(store)],
    [
      'fills',
      `${countText(fills.running, 'download')} running, ${countText(fills.waitingPrefetches, 'blob')} waiting to be fetched in the background`,
    ],
    ['scrub', scrubText(scrub, now)],
  ])
  const table = tableText([
    ['UPSTREAM', 'STATE', 'PULLS LEFT', 'ENDPOINTS'],
    ...upstreams.map(upstreamRow),
  ])
  return `${facts}\n\n${table}`
}

function storeText({ bytes, budget, freeBytes }: MirrorStatus['store']): string {
  return [
    `${sizeText(bytes)}${budget === undefined ? '' : ` of ${sizeText(budget)}`}`,
    ...(freeBytes === undefined ? [] : [`${sizeText(freeBytes)} free on the disk`]),
  ].join(', ')
}

function scrubText(
  { checkedBytes, damaged, finishedAt }: MirrorStatus['scrub'],
  now: number,
): string {
  const last =
    finishedAt === undefined
      ? 'not through yet'
      : `last through ${durationText(now - finishedAt)} ago`
  return `${sizeText(checkedBytes)} checked, ${countText(damaged, 'damaged file')}, ${last}`
}

type UpstreamStatus = MirrorStatus['upstreams'][number]

function upstreamRow(upstream: UpstreamStatus): string[] {
  const { name, pullBudget, accounts, endpoints } = upstream
  // Most registries never name a limit.
  const left = accounts
    .filter(({ remaining, limit }) => remaining !== undefined || limit !== undefined)
    .map(({ account, remaining, limit }) => `${account} ${remaining ?? '?'} of ${limit ?? '?'}`)
  const places = endpoints.map(({ origin, restsFor }) =>
    restsFor >= 1000 ? `${origin} (rests ${durationText(restsFor)})` : origin,
  )
  return [name, stateText(upstream), [pullBudget, ...left].join(', '), places.join(' ')].map(
    (text) => loggable(text) ?? '',
  )
}

function stateText({ offline, endpoints }: UpstreamStatus): string {
  if (offline) return 'offline'
  const resting = endpoints.filter(({ restsFor }) => restsFor > 0).length
  return resting === 0 ? 'well' : `${resting} of ${endpoints.length} resting`
}
