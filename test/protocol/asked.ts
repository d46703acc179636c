import type { FakeRegistry } from '../fakes/registry.ts'

/** What a registry has been asked since its n-th request, as `GET /v2/app/tags/list?n=1`. */
export function askedSince({ requests }: Pick<FakeRegistry, 'requests'>, first = 0): string[] {
  return requests
    .slice(first)
    .map(({ method, path, query }) => `${method} ${path}${query === '' ? '' : `?${query}`}`)
}
