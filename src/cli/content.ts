/** entrepot content: digests that are served although they are young, and tags that mean one digest. */
import type { ApprovalRecord, FrozenTagRecord, OpenOperator } from '../operator.ts'
import { contentJson } from './api-json.ts'
import type { Command } from './command.ts'
import { createAction, createOperatorCommands } from './operator-command.ts'
import { safeText, tableText, timeText } from './text.ts'

export function createContent(openOperator: OpenOperator): Command {
  const actions = new Map([
    ['list', list],
    ['approve', approve],
    ['withdraw', withdraw],
    ['freeze', freeze],
    ['unfreeze', unfreeze],
  ])
  return createOperatorCommands('content', actions, openOperator)
}

const REASON = { reason: 'string' } as const

const list = createAction({
  operands: [],
  options: {},
  prepare({ print }) {
    return async (operator) => {
      const approvals = await operator.approvals()
      const frozenTags = await operator.frozenTags()
      const data = {
        approvals: approvals.map(contentJson),
        frozenTags: frozenTags.map(contentJson),
      }
      print(data, () => listText(approvals, frozenTags))
    }
  },
})

const approve = createAction({
  operands: ['IMAGE@DIGEST'],
  options: REASON,
  prepare({ operands: [image = ''], options, print }) {
    return async (operator) => {
      const approval = await operator.approveDigest(image, options.reason)
      print(contentJson(approval), () => `${digestText(approval)} is served, however young it is.`)
    }
  },
})

const withdraw = createAction({
  operands: ['IMAGE@DIGEST'],
  options: {},
  prepare({ operands: [image = ''], print }) {
    return async (operator) => {
      const approval = await operator.withdrawApproval(image)
      print(contentJson(approval), () => `${digestText(approval)} has to wait like any other.`)
    }
  },
})

const freeze = createAction({
  operands: ['IMAGE:TAG@DIGEST'],
  options: REASON,
  prepare({ operands: [image = ''], options, print }) {
    return async (operator) => {
      const frozen = await operator.freezeTag(image, options.reason)
      print(
        contentJson(frozen),
        () => `${tagText(frozen)} means ${safeText(frozen.digest)}, whatever upstream says.`,
      )
    }
  },
})

const unfreeze = createAction({
  operands: ['IMAGE:TAG'],
  options: {},
  prepare({ operands: [image = ''], print }) {
    return async (operator) => {
      const frozen = await operator.unfreezeTag(image)
      print(contentJson(frozen), () => `${tagText(frozen)} follows upstream again.`)
    }
  },
})

function listText(
  approvals: readonly ApprovalRecord[],
  frozenTags: readonly FrozenTagRecord[],
): string {
  const tables = [
    approvals.length === 0
      ? 'No digest is approved.'
      : tableText([
          ['APPROVED', 'OWNER', 'SINCE', 'REASON'],
          ...approvals.map((record) => [digestText(record), ...notes(record)]),
        ]),
    frozenTags.length === 0
      ? 'No tag is frozen.'
      : tableText([
          ['FROZEN', 'TO', 'OWNER', 'SINCE', 'REASON'],
          ...frozenTags.map((record) => [
            tagText(record),
            safeText(record.digest),
            ...notes(record),
          ]),
        ]),
  ]
  return tables.join('\n\n')
}

function notes({ owner, createdAt, reason }: ApprovalRecord): string[] {
  return [safeText(owner), timeText(createdAt), safeText(reason)]
}

function digestText({ upstream, repository, digest }: ApprovalRecord): string {
  return safeText(`${upstream}/${repository}@${digest}`, 1024)
}

function tagText({ upstream, repository, tag }: FrozenTagRecord): string {
  return safeText(`${upstream}/${repository}:${tag}`, 1024)
}
