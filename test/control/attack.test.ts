/** A flood of refusals from one address, between which somebody else is refused. */
import { expect, it } from 'vitest'
import type { Refusal } from '../../src/catalog/control-catalog.ts'
import { createRefusals } from '../../src/control/refusals.ts'
import { createLog } from '../../src/log.ts'

it('does not keep the refusal of another caller from being remembered', async () => {
  const written: Refusal[] = []
  const refusals = createRefusals({
    catalog: {
      noteRefusals(batch) {
        written.push(...batch)
        return Promise.resolve([])
      },
    },
    secret: Buffer.alloc(32, 7),
    onNew: () => undefined,
    metrics: { accessRequested: () => undefined },
    log: createLog({ write: () => undefined }),
    now: () => 1,
  })
  const flooding = {
    principal: { kind: 'anonymous', name: 'anonymous', grants: [] },
    address: '192.0.2.66',
  } as const
  const alice = {
    principal: { kind: 'user', name: 'alice', grants: [] },
    address: '192.0.2.1',
  } as const
  const refused = { tag: undefined, reason: 'rule', userAgent: undefined } as const
  for (let at = 0; at < 5000; at += 1) {
    refusals.note(flooding, { ...refused, name: `quay.io/flood/x${at}` })
  }
  const id = refusals.note(alice, { ...refused, name: 'quay.io/team/app' })
  await refusals.close()
  expect(written.map((one) => one.id)).toContain(id)
})
