/** What becomes of a request for access. Pure. */
import { coversRule } from '../access/allowlist.ts'
import { authorize } from '../access/authorize.ts'
import type { Rule } from '../access/rule.ts'
import type {
  AccessRequest,
  ControlState,
  Decision,
  DecisionContext,
} from '../catalog/control-catalog.ts'
import { auditRecord } from './audit-record.ts'
import { ControlError } from './error.ts'
import type { Approval, ListedRule } from './operator.ts'
import { createInputCheck, shownText } from './operator-input.ts'
import { requireRight } from './operator-rights.ts'
import {
  findSame,
  newRule,
  refuseDenied,
  replacing,
  type CheckedRule,
  type RuleSituation,
} from './rule-decisions.ts'
import { canonicalPattern, countsAt, rulesInForce } from './standing.ts'

interface RequestSituation extends RuleSituation {
  readonly checkPattern: (text: string) => string
}

type RuleWish = Pick<CheckedRule, 'reason' | 'owner' | 'expiresAt'>

/**
 * Lets in what was asked for. Where a rule does that already, the request is settled and nothing else: it
 * may be that only the caller's rights stand in the way, which are not given here.
 * @param ids for the rule, to choose from
 */
export function approveRequestDecision(
  situation: RequestSituation,
  id: string,
  approval: Pick<Approval, 'as' | 'pattern'> & RuleWish,
  ids: readonly string[],
): (context: DecisionContext) => Decision<ListedRule> {
  const { author, fileRules } = situation
  return (context) => {
    const { state } = context
    const request = openRequest(situation, context.request(id), id)
    const rule = ruleFor(situation, request, approval)
    requireRight(author.caller.principal, 'rules.write', { kind: 'pattern', pattern: rule.pattern })
    refuseDenied(situation, state, rule, imageOf(request))

    const present = admittingRule(rulesInForce(fileRules, state.rules, author.now), request, rule)
    const decision = present ? nothingBut(present) : adding(situation, state, rule, ids)
    const { id: ruleId, pattern } = decision.result
    return {
      changes: [
        ...decision.changes,
        { kind: 'settle-request', id, state: 'approved', at: author.now },
      ],
      audit: [
        auditRecord(author, 'request.approve', id, {
          before: { image: imageOf(request), state: request.state },
          after: { state: 'approved', rule: ruleId, pattern },
        }),
        ...decision.audit,
      ],
      result: decision.result,
    }
  }
}

export function dismissRequestDecision(
  situation: Pick<RequestSituation, 'author'>,
  id: string,
  reason: string | undefined,
): (context: DecisionContext) => Decision<AccessRequest> {
  return (context) => {
    const request = openRequest(situation, context.request(id), id)
    return {
      changes: [{ kind: 'settle-request', id, state: 'dismissed', at: situation.author.now }],
      audit: [
        auditRecord(situation.author, 'request.dismiss', id, {
          before: { image: imageOf(request), state: request.state },
          after: { state: 'dismissed', reason },
        }),
      ],
      result: { ...request, state: 'dismissed' },
    }
  }
}

/** A request for what the caller does not operate is as good as not there. */
function openRequest(
  { author: { caller } }: Pick<RequestSituation, 'author'>,
  request: AccessRequest | undefined,
  id: string,
): AccessRequest {
  const isTheirs =
    request !== undefined &&
    authorize(caller.principal, 'requests.decide', { kind: 'repository', name: request.name })
  if (!isTheirs) {
    throw new ControlError(
      'not-found',
      `There is no request ${shownText(id)} among those that you may decide. It may have made room for newer ones; allow the image with a rule instead.`,
    )
  }
  if (request.state !== 'open') {
    throw new ControlError(
      'conflict',
      `The request ${id} was ${request.state} before. To change what becomes of ${imageOf(request)}, add or remove a rule.`,
    )
  }
  return request
}

function ruleFor(
  { author, checkPattern }: RequestSituation,
  request: AccessRequest,
  { as, pattern, reason, owner, expiresAt }: Pick<Approval, 'as' | 'pattern'> & RuleWish,
): CheckedRule {
  const check = createInputCheck({ checkPattern }, author.now)
  const wanted = imageOf(request)
  const text = { exact: wanted, repository: request.name, pattern: pattern ?? '' }[as]
  const kept = check.pattern('pattern', text)
  if (as !== 'pattern' && pattern !== undefined) {
    check.complain('pattern', `A pattern is given only where it is approved as one, not as ${as}.`)
  }
  check.finish()
  if (!coversRule(kept, wanted)) {
    check.complain(
      'pattern',
      `${kept} is not about ${wanted}, which was asked for. Write a pattern that is.`,
    )
    check.finish()
  }
  return { effect: 'allow', pattern: kept, reason, owner, expiresAt, minAge: 0 }
}

/** The rule that makes another one needless. */
function admittingRule(
  rules: readonly Rule[],
  request: AccessRequest,
  { pattern }: CheckedRule,
): Rule | undefined {
  const wanted = canonicalPattern(pattern)
  return rules.find(
    (rule) =>
      rule.effect === 'allow' &&
      (canonicalPattern(rule.pattern) === wanted ||
        (request.reason === 'right' && coversRule(rule.pattern, imageOf(request)))),
  )
}

function nothingBut(rule: Rule): Decision<ListedRule> {
  const result = { ...rule, standing: 'in-force', overriddenBy: undefined, decides: false } as const
  return { changes: [], audit: [], result }
}

function adding(
  situation: RequestSituation,
  state: ControlState,
  rule: CheckedRule,
  ids: readonly string[],
): Decision<ListedRule> {
  const same = findSame(state.rules, rule)
  const ended = same && !countsAt(same, situation.author.now) ? same : undefined
  return replacing(situation, state, ended, newRule(situation, state, rule, ids))
}

/** `docker.io/library/redis:7`; without a tag where there was none. */
function imageOf({ name, tag }: AccessRequest): string {
  return tag === undefined ? name : `${name}:${tag}`
}
