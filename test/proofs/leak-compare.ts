/** Compares what is told of what exists with what is told of what does not. */
import { expect } from 'vitest'
import { type Shape, SHAPES } from '../scenarios/shapes.ts'
import { type ClientResponse, request } from '../support/client.ts'
import type { Headers } from '../support/people.ts'
import {
  demandRefusal,
  digestQuestions,
  fingerprint,
  type Question,
  questionsAbout,
  type Wanted,
} from './leak-requests.ts'
import {
  HIDDEN_SECRET,
  isNamed,
  NOTHING,
  REPOSITORIES,
  SECRET,
  UPSTREAM,
  type World,
} from './leak-world.ts'

const { ofAnotherTeam, ofNoTeam, refused, unallowed, unknown } = REPOSITORIES
const [PREFIX] = SHAPES
const AT_ONCE = 8

export interface Asked {
  /** At the private upstream. */
  readonly repository: string
  readonly question: Question
  readonly headers: Headers
  /** How it is written; with the upstream in front unless said otherwise. */
  readonly shape?: Shape | undefined
}

/**
 * No stranger can tell any repository from one that does not exist, and no upstream is asked.
 * @returns how many answers were compared
 */
export async function compareStrangers(
  world: World,
  shapes: readonly Shape[],
  strangers: readonly string[],
): Promise<number> {
  const before = world.asked()
  const cells = strangers.flatMap((stranger) =>
    shapes.flatMap((shape) =>
      questionsAbout(SECRET).map((question, place) => ({ stranger, shape, question, place })),
    ),
  )
  const about = questionsAbout(NOTHING)
  await eachOf(cells, async ({ stranger, shape, question, place }) => {
    const headers = world.strangers[stranger] ?? {}
    const status = isNamed(stranger) ? 403 : 401
    const nowhere = await ask(world, {
      repository: unknown,
      question: about[place] ?? question,
      headers,
      shape,
    })
    const reference = fingerprint(nowhere, namesOf(unknown, NOTHING))
    for (const repository of [ofAnotherTeam, ofNoTeam, refused, unallowed]) {
      const answer = await ask(world, { repository, question, headers, shape })
      const what = `${question.method} ${question.title} of ${repository}, as ${shape.name}, by ${stranger}`
      demandRefusal(answer, status, what)
      const said = fingerprint(answer, namesOf(repository, SECRET))
      expect({ what, said }).toEqual({ what, said: reference })
    }
  })
  expect(world.asked()).toBe(before)
  return cells.length * 4
}

/**
 * Whoever may pull from one repository cannot tell by it what is in another.
 * @returns how many answers were compared
 */
export async function compareDigests(world: World): Promise<number> {
  const about = digestQuestions(NOTHING)
  const cells = digestQuestions(HIDDEN_SECRET).map((question, place) => ({ question, place }))
  await eachOf(cells, async ({ question, place }) => {
    const what = `${question.method} ${question.title}`
    const [one, other] = [
      await ask(world, { repository: ofAnotherTeam, question, headers: world.bob }),
      await ask(world, {
        repository: ofAnotherTeam,
        question: about[place] ?? question,
        headers: world.bob,
      }),
    ]
    // A list of nothing is an answer like any other.
    const isRefused = one.status >= 400 || question.rest.startsWith('referrers/')
    const said = fingerprint(one, namesOf(ofAnotherTeam, HIDDEN_SECRET))
    const reference = fingerprint(other, namesOf(ofAnotherTeam, NOTHING))
    expect({ what, isRefused, said }).toEqual({ what, isRefused: true, said: reference })
  })
  return cells.length
}

export function ask(
  world: World,
  { repository, question, headers, shape = PREFIX }: Asked,
): Promise<ClientResponse> {
  if (shape === undefined) throw new Error('There is a shape.')
  const shaped = shape.request(UPSTREAM, repository, question.rest)
  const path = joined(shaped.path)
  return request({
    url: world.mirror.url,
    path,
    method: question.method,
    headers: { ...shaped.headers, ...question.headers, ...headers },
  })
}

/** A question may have a query of its own. */
function joined(path: string): string {
  const [before, ...queries] = path.split('?')
  return queries.length === 0 ? path : `${before}?${queries.join('&')}`
}

function namesOf(repository: string, { manifest, blob }: Wanted): string[] {
  return [repository, ...[manifest, blob].map((digest) => digest.slice(digest.indexOf(':') + 1))]
}

async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}
