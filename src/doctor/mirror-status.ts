/** What the mirror says of itself and its upstreams at /status. */
import { failed, ok, skipped, warning, type Verdict } from './finding.ts'
import type { MirrorClient } from './mirror-client.ts'

interface UpstreamStatus {
  readonly name: string
  readonly offline: boolean
  readonly pullBudget: unknown
  readonly endpoints: readonly { readonly origin: string; readonly restsFor: number }[]
  readonly accounts: readonly {
    readonly account: string
    readonly remaining?: number | undefined
    readonly limit?: number | undefined
  }[]
}

/** @param token of whoever asks; it needs the right to operate */
export async function checkStatus(
  client: MirrorClient,
  token: string | undefined,
  signal: AbortSignal,
): Promise<Verdict[]> {
  const headers = token === undefined ? {} : { Authorization: `Bearer ${token}` }
  const { status, body } = await client.ask({ path: '/status', headers }, signal)
  if (status === 401 && token !== undefined) {
    return [
      failed(
        'the mirror does not accept the token: it has ended, was removed, or is of another mirror',
        'Have a new one made: entrepot tokens add NAME.',
      ),
    ]
  }
  if (status === 401 || status === 403) {
    return [skipped('the mirror tells its status to operators: --token-file says who asks')]
  }
  const said = status === 200 ? upstreamsIn(body.toString()) : undefined
  if (said === undefined) {
    return [skipped('the status is told elsewhere ("api"), or is not passed on to here')]
  }
  return said.length === 0 ? [ok('the mirror has no upstream')] : said.map(judgeUpstream)
}

function judgeUpstream(upstream: UpstreamStatus): Verdict {
  const { name, offline, pullBudget, endpoints } = upstream
  if (offline) {
    return warning(
      `${name}: the mirror is offline, and serves only what it has`,
      'If that is not meant: entrepot offline off, or take "offline" out of the configuration.',
    )
  }
  const resting = endpoints.filter(({ restsFor }) => restsFor > 0)
  if (resting.length > 0) {
    const list = resting
      .map((it) => `${it.origin} for ${Math.ceil(it.restsFor / 1000)} s`)
      .join(', ')
    return warning(
      `${name}: ${resting.length} of ${endpoints.length} endpoints not asked for now: ${list}`,
      'They failed a moment ago: run "entrepot doctor" on the host of the mirror, which tries them.',
    )
  }
  if (pullBudget === 'scarce' || pullBudget === 'spent') {
    return warning(
      `${name}: few pulls are left, or none (${leftText(upstream)})`,
      'Give the upstream an account ("credentials"), or wait: what is stored is served all the same.',
    )
  }
  return ok(`${name}: the mirror finds it well (${leftText(upstream)})`)
}

function leftText({ accounts }: UpstreamStatus): string {
  const known = accounts.filter(({ remaining }) => remaining !== undefined)
  if (known.length === 0) return 'no limit seen'
  return known
    .map(({ account, remaining, limit }) => `${account}: ${remaining} of ${limit ?? '?'} pulls`)
    .join(', ')
}

function upstreamsIn(text: string): UpstreamStatus[] | undefined {
  try {
    const { upstreams } = JSON.parse(text) as { readonly upstreams?: unknown }
    return Array.isArray(upstreams) && upstreams.every(isUpstream) ? upstreams : undefined
  } catch {
    return undefined
  }
}

function isUpstream(value: unknown): value is UpstreamStatus {
  const it = value as Partial<UpstreamStatus> | null
  return typeof it?.name === 'string' && Array.isArray(it.endpoints) && Array.isArray(it.accounts)
}
