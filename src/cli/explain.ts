/** entrepot explain: what would become of a pull, why, and what it would cost. */
import type { Explanation, OpenOperator } from '../operator.ts'
import { explanationJson } from './api-json.ts'
import { createPaint, type Paint } from './colour.ts'
import type { Command } from './command.ts'
import { createAction, createOperatorCommand } from './operator-command.ts'
import { ruleText } from './rule-text.ts'
import {
  agoText,
  countText,
  durationText,
  safeText,
  sizeText,
  tableText,
  timeText,
} from './text.ts'

export function createExplain(openOperator: OpenOperator): Command {
  return createOperatorCommand('explain', explain, openOperator)
}

const explain = createAction({
  operands: ['IMAGE'],
  options: {},
  prepare({ operands: [image = ''], now, io, print }) {
    return async (operator) => {
      const explanation = await operator.explain(image)
      print(explanationJson(explanation), () => explanationText(explanation, now, createPaint(io)))
    }
  },
})

function explanationText(explanation: Explanation, now: number, paint: Paint): string {
  const { image, allowed, verdict, rule, anonymous, frozenTo, content } = explanation
  const facts = tableText([
    ['image', safeText(image, 1024)],
    ['route', `${safeText(explanation.upstream)}, repository ${safeText(explanation.repository)}`],
    ['pull', allowed ? paint('green', 'allowed') : paint('red', 'refused')],
    ['rule', rule === undefined ? 'none is about it' : ruleText(rule)],
    ['without a user', anonymous ? 'yes' : 'no: it takes a user or a token with the right to it'],
    ...(frozenTo === undefined ? [] : [['frozen to', safeText(frozenTo)]]),
    ...probationRow(explanation.probationEndsAt, now),
    ['here', hereText(content)],
    ['checked', checkedText(explanation, now)],
    ...(content.firstSeenAt === undefined
      ? []
      : [['first seen', seenText(content.firstSeenAt, now)]]),
    ['asks', upstreamText(content.upstream)],
    ['cost', costText(explanation.cost)],
  ])
  return `${facts}\n\n${safeText(verdict, 1000)}`
}

function probationRow(endsAt: number | undefined, now: number): string[][] {
  if (endsAt === undefined) return []
  const state =
    endsAt > now ? `until ${timeText(endsAt)} (${durationText(endsAt - now)})` : 'has ended'
  return [['probation', state]]
}

function hereText({ digest, isStored, blobs }: Explanation['content']): string {
  if (digest === undefined) return 'nothing is known of it'
  const parts = isStored
    ? [`${countText(blobs.stored, 'blob')} stored`, ...missing(blobs)]
    : ['its manifest is not stored']
  return `${safeText(digest)}: ${parts.join(', ')}`
}

function missing(blobs: Explanation['content']['blobs']): string[] {
  return blobs.missing === 0
    ? []
    : [`${countText(blobs.missing, 'blob')} missing (${sizeText(blobs.missingBytes)})`]
}

function checkedText({ content, digest, frozenTo }: Explanation, now: number): string {
  if ((digest ?? frozenTo) !== undefined) return 'need not be: a digest stays what it is'
  const { checkedAt, freshness } = content
  const when = checkedAt === undefined ? 'never' : agoText(checkedAt, now)
  return freshness === undefined ? when : `${when}: ${FRESHNESS[freshness]}`
}

const FRESHNESS: Readonly<Record<NonNullable<Explanation['content']['freshness']>, string>> = {
  fresh: 'served as it is',
  'revalidate-behind': 'served as it is, and checked upstream behind that',
  expired: 'checked upstream first',
}

/** What was stored before this was noted counts as seen at the beginning of time. */
function seenText(firstSeenAt: number, now: number): string {
  return firstSeenAt <= 0 ? 'long ago' : `${timeText(firstSeenAt)} (${agoText(firstSeenAt, now)})`
}

function upstreamText(upstream: Explanation['content']['upstream']): string {
  if (upstream === undefined) return 'only the running mirror knows: ask it with --server'
  if (upstream.offline) return 'nobody: it is offline'
  const { endpoint, account, pullsLeft } = upstream
  const left = pullsLeft === undefined ? '' : `, ${countText(pullsLeft, 'pull')} left`
  return `${safeText(endpoint ?? 'no endpoint')} as ${safeText(account ?? 'nobody')}${left}`
}

function costText({ heads, pulls, bytes }: Explanation['cost']): string {
  return [
    countText(heads, 'question'),
    countText(pulls, 'pull'),
    bytes === undefined ? 'size not known before its manifest is here' : sizeText(bytes),
  ].join(', ')
}
