/** The requests of the operations, and their answers up to the status. */
import type { Metrics } from '../metrics.ts'
import { MANIFEST_ACCEPT } from '../oci/manifest.ts'
import type { AuthenticatedRequest, Authenticator } from './auth.ts'
import { destroyBody, discardBody } from './body.ts'
import type { Budget } from './budget.ts'
import type { HopResponse } from './response.ts'
import { apiUrl, type Route } from './route.ts'
import { statusFailure } from './status-failure.ts'

export interface OperationRequest {
  readonly method: 'GET' | 'HEAD'
  readonly repository: string
  /** Below the repository, made of parsed values only. */
  readonly path: string
  readonly query?: string
  readonly accept: string
  readonly range?: string | undefined
}

export interface Requests {
  send(route: Route, request: OperationRequest, signal: AbortSignal): Promise<HopResponse>
  /** HEAD, or where that is answered with such a status a GET whose body is dropped. */
  sendHead(
    route: Route,
    request: OperationRequest,
    unsupported: ReadonlySet<number>,
    signal: AbortSignal,
  ): Promise<HopResponse>
  /** @throws {UpstreamError} for any status but 200 */
  expectOk(response: HopResponse, route: Route, request: OperationRequest): Promise<HopResponse>
  /** What is asked for, for messages. */
  subjectOf(request: OperationRequest): string
}

interface RequestsDependencies {
  readonly authenticator: Authenticator
  readonly budget: Budget
  readonly metrics: Pick<Metrics, 'rateLimitSeen'>
}

/** @param name of the upstream */
export function createRequests(
  name: string,
  { authenticator, budget, metrics }: RequestsDependencies,
): Requests {
  async function send(
    route: Route,
    request: OperationRequest,
    signal: AbortSignal,
  ): Promise<HopResponse> {
    const { method, repository, path, query, accept, range } = request
    const url = apiUrl(route, `${repository}/${path}`, query)
    const headers = { accept, ...(range !== undefined && { range }) }
    const sent: AuthenticatedRequest = { route, method, url, headers, repository, signal }
    const response = await authenticator.send(sent)
    const said = budget.note(route, response)
    if (said !== undefined) metrics.rateLimitSeen(name, route.account, said)
    return response
  }

  function subjectOf({ repository, path }: OperationRequest): string {
    return `${name}/${repository}/${path}`
  }

  return {
    send,
    subjectOf,

    async sendHead(route, request, unsupported, signal) {
      const head = await send(route, request, signal)
      await discardBody(head)
      if (!unsupported.has(head.status)) return head
      const response = await send(route, { ...request, method: 'GET' }, signal)
      if (response.status === 200) destroyBody(response)
      return response
    },

    async expectOk(response, { endpoint }, request) {
      if (response.status === 200) return response
      await discardBody(response)
      throw statusFailure(response, subjectOf(request), endpoint.origin)
    },
  }
}

export function manifestRequest(
  method: OperationRequest['method'],
  repository: string,
  reference: string,
): OperationRequest {
  return { method, repository, path: `manifests/${reference}`, accept: MANIFEST_ACCEPT }
}

export function blobRequest(
  method: OperationRequest['method'],
  repository: string,
  digest: string,
  range?: string,
): OperationRequest {
  return { method, repository, path: `blobs/${digest}`, accept: '*/*', range }
}

export function pageRequest(
  repository: string,
  path: string,
  query: string,
  accept: string,
): OperationRequest {
  return { method: 'GET', repository, path, query, accept }
}
