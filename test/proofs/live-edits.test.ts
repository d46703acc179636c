/**
 * Fifty clients pull while operators change rules, users and rights a thousand times, over the API and in
 * another process on the same file. Of what is sent after an edit has returned, nothing is refused that is
 * allowed, and nothing served that is not.
 */
import { expect, it } from 'vitest'
import { type AuditEntry, brokenLink } from '../../src/operator.ts'
import { until } from '../support/until.ts'
import { LONG, openChance } from './chance.ts'
import { type Clients, startClients } from './live-edits-clients.ts'
import { createEditor, type Edit, isConflict } from './live-edits-edits.ts'
import type { Credential, Standing } from './live-edits-model.ts'
import { createTimeline, type Timeline } from './live-edits-timeline.ts'
import { type Face, openWorld, type World } from './live-edits-world.ts'

const CLIENTS = 50
const EDITS = LONG ? 20_000 : 1000
/** Requests that are sent and answered between two edits. */
const BETWEEN = 10
/** Edits on the host after which it is a new command. */
const REOPENED_AFTER = 25

/** Milliseconds, also where the machine has much else to do. */
const MOST_PER_EDIT = 1200

const KINDS = ['rule', 'rights', 'user', 'password', 'robot'] as const

it(
  'counts from the moment at which an edit returns',
  async () => {
    const chance = openChance('live edits')
    await using world = await openWorld()
    const timeline = createTimeline(world.beginning)
    const { url, questions } = world
    const editor = createEditor(chance)
    const edits = new Map<string, number>()
    {
      await using clients = startClients({ url, count: CLIENTS, questions, timeline, chance })
      for (let made = 0; made < EDITS && clients.wrong.length === 0;) {
        const face = made % 2 === 0 ? 'api' : 'host'
        if (made % (2 * REOPENED_AFTER) === 0) await world.reopenHost()
        const edit = editor.choose(timeline.now())
        const credential = await make(edit, face, { world, timeline, clients })
        if (credential === 'refused') continue
        made += 1
        countUp(edits, edit.action)
        await until(() => isTried(clients, credential), {
          deadlineMs: 60_000,
          what: 'clients have pulled between two edits',
        })
      }
      report(clients, edits)
      expect(clients.wrong).toEqual([])
      expectEverything(clients)
    }
    expect(await auditedEdits(world)).toEqual(edits)
    expect(world.program.errors).toBe('')
  },
  EDITS * MOST_PER_EDIT,
)

/**
 * @returns the credential that it has made, if any; `refused` when the program has refused it, which changes
 * nothing
 */
async function make(
  edit: Edit,
  face: Face,
  { world, timeline, clients }: { world: World; timeline: Timeline<Standing>; clients: Clients },
): Promise<Credential | 'refused' | undefined> {
  const before = timeline.now()
  let made: Credential | 'refused' | undefined = edit.credential
  if (edit.credential) clients.learn(edit.credential)
  await timeline.edit(edit.possible, async () => {
    try {
      const { standing, credential } = await edit.make(world.operator(face))
      if (credential) clients.learn((made = credential))
      return standing
    } catch (error) {
      if (!isConflict(error)) throw error
      made = 'refused'
      return before
    }
  })
  clients.begin(`${edit.kind} by ${face}`, before)
  return made
}

/** Of a new password the first look takes a while. */
function isTried(clients: Clients, credential: Credential | undefined): boolean {
  const hasBeenShown = credential === undefined || clients.hasShown(credential)
  return clients.wrong.length > 0 || (clients.settled >= BETWEEN && hasBeenShown)
}

/** Nothing of this is worth anything unless it has happened. */
function expectEverything({ counts, changed }: Clients): void {
  const asked = [
    'GET tag',
    'HEAD tag',
    'GET digest',
    'HEAD digest',
    'GET blob',
    'HEAD blob',
    'tags',
  ]
  for (const kind of asked) {
    for (const who of ['none', 'password', 'bearer', 'robot']) {
      for (const verdict of ['served', 'refused', 'login']) {
        // What anonymous callers may not pull takes a login, before any rule is looked at.
        expect
          .soft(counts.get(`${kind} as ${who}: ${verdict}`) ?? 0, `${kind} ${who} ${verdict}`)
          .toBeGreaterThan(0)
      }
    }
  }
  for (const kind of KINDS) {
    for (const face of ['api', 'host']) {
      const verdicts = kind === 'rule' ? ['served', 'refused'] : ['served', 'login']
      // Rights change what somebody may who stays known.
      for (const verdict of kind === 'rights' ? ['served', 'refused'] : verdicts) {
        const label = `${kind} by ${face}: ${verdict}`
        expect.soft(changed.get(label) ?? 0, label).toBeGreaterThan(0)
      }
    }
  }
}

/** By action; the chain is as it was written. */
async function auditedEdits(world: World): Promise<Map<string, number>> {
  const found = new Map<string, number>()
  let last: AuditEntry | undefined
  for await (const entry of world.operator('host').audit({})) {
    expect(brokenLink([entry], last)).toBeUndefined()
    last = entry
    if (!entry.action.startsWith('login.')) countUp(found, entry.action)
  }
  // Made before the first edit.
  for (const action of ['token.add', 'rule.add', 'rule.remove']) countUp(found, action, -1)
  return found
}

function report({ counts, changed }: Clients, edits: ReadonlyMap<string, number>): void {
  const sum = (of: ReadonlyMap<string, number>): number =>
    [...of.values()].reduce((a, b) => a + b, 0)
  const told = { edits: sum(edits), settled: sum(counts), changed: Object.fromEntries(changed) }
  process.stdout.write(`live edits: ${JSON.stringify(told)}\n`)
}

function countUp(counts: Map<string, number>, key: string, by = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + by)
}
