/** Whether a mirror answers there, in time with the clock here, and lets its user in. */
import { failed, ok, skipped, warning, type Verdict } from './finding.ts'
import { askForLogin, type Login } from './login.ts'
import type { MirrorAnswer, MirrorClient } from './mirror-client.ts'
import { reasonOf } from './network-words.ts'
import type { Check } from './run.ts'

export interface RegistryChecks {
  readonly all: readonly Check[]
  /** What pulls need. */
  readonly registry: Check
}

/** Milliseconds between two clocks from which on it is spoken of, and from which on logins fail. */
const CLOCK_WARNING = 60_000
const CLOCK_FAILURE = 5 * 60_000

/** @param now milliseconds since the epoch */
export function createRegistryChecks(
  client: MirrorClient,
  needed: Check,
  { login, now }: { readonly login: Login | undefined; readonly now: () => number },
): RegistryChecks {
  const { name } = client.place
  let ping: (MirrorAnswer & { readonly askedAt: number; readonly answeredAt: number }) | undefined

  const registry: Check = {
    name: 'registry',
    needs: [needed],
    async run(signal) {
      const askedAt = now()
      try {
        const answer = await client.ask({ path: '/v2/' }, signal)
        ping = { ...answer, askedAt, answeredAt: now() }
        return judgePing(name, answer)
      } catch (error) {
        signal.throwIfAborted()
        return failed(
          `${name} does not answer properly: ${reasonOf(error)}`,
          'Something else listens there, or it speaks HTTPS and was asked by http://.',
        )
      }
    },
  }
  const ready: Check = {
    name: 'ready',
    needs: [registry],
    run: async (signal) => judgeReady(await client.ask({ path: '/readyz' }, signal)),
  }
  const clock: Check = {
    name: 'clock',
    needs: [registry],
    async run() {
      const said = Date.parse(ping?.headers.date ?? '')
      if (ping === undefined || Number.isNaN(said)) return skipped('the mirror says no time')
      return judgeClock(said - (ping.askedAt + ping.answeredAt) / 2, 'the mirror')
    },
  }
  const loggedIn: Check = {
    name: 'login',
    needs: [registry],
    run: async (signal) =>
      ping === undefined ? skipped('not asked') : askForLogin(client, ping, login, signal),
  }
  return { all: [registry, ready, clock, loggedIn], registry }
}

/** @param whose clock the difference is to, in milliseconds: positive where it is ahead */
export function judgeClock(difference: number, whose: string): Verdict {
  const seconds = Math.round(Math.abs(difference) / 1000)
  const found = `the clock of ${whose} is ${seconds} s ${difference < 0 ? 'behind' : 'ahead'}`
  const advice =
    'Set both by NTP: tokens, certificates and the age of what is stored depend on the time.'
  if (seconds * 1000 > CLOCK_FAILURE) return failed(found, advice)
  if (seconds * 1000 > CLOCK_WARNING) return warning(found, advice)
  return ok(`the clock of ${whose} is the same as here`)
}

function judgePing(name: string, { status, headers }: MirrorAnswer): Verdict {
  const isRegistry = String(headers['docker-distribution-api-version'] ?? '').startsWith(
    'registry/2',
  )
  if (isRegistry && (status === 200 || status === 401)) {
    const asks = status === 401 ? ', and asks for a login' : ''
    return ok(`a registry answers at ${name}/v2/${asks}`)
  }
  const server = headers['server'] === undefined ? '' : ` (${String(headers['server'])})`
  const answered = `${name}/v2/ is answered with status ${status}${server}`
  if (status >= 300 && status < 400) {
    return failed(
      `${answered} and leads to ${originOf(headers.location)}`,
      'Use the address that it leads to, or let what is in front pass /v2/ on: clients do not follow everywhere.',
    )
  }
  if (status >= 500) {
    return failed(
      `${answered}: what is in front of the mirror does not reach it, or it is in trouble`,
      'See whether the mirror runs, and the log of the proxy in front of it.',
    )
  }
  const kind = (headers['content-type'] ?? 'nothing').replace(/;.*/, '')
  return failed(
    `${answered} and ${kind}, not as a registry answers`,
    'Something else is in front of the mirror, such as another site, a login page or an old server: look at the address, and at the proxy, which has to pass /v2/ on as it is.',
  )
}

function judgeReady({ status, body }: MirrorAnswer): Verdict {
  if (status === 200 && body.toString().trim() === 'ready') return ok('the mirror is ready')
  if (status === 503) {
    return failed(
      'the mirror runs, and is not ready: its catalog cannot be read',
      'Look at its log, and run "entrepot doctor" on its host.',
    )
  }
  return warning(
    `/readyz is answered with status ${status}`,
    'What is in front of the mirror does not pass it on, which probes need; or it is another registry.',
  )
}

/** The rest of a location may be a secret. */
function originOf(location: string | undefined): string {
  if (location === undefined) return 'nowhere'
  return URL.canParse(location) ? new URL(location).origin : 'another path'
}
