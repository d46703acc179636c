/** Reads `/metrics` as a scraper does. */
import { request } from '../support/client.ts'

/** Label values that a sample must have to be counted. */
export type Labels = Readonly<Record<string, string>>

/**
 * The sum of all samples of this name that have these labels; 0 where there are none.
 * @param name as on the page, e.g. `entrepot_fills_running`
 */
export async function metric(
  { url }: { readonly url: string },
  name: string,
  labels: Labels = {},
): Promise<number> {
  const { body } = await request({ url, path: '/metrics' })
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
  return body
    .toString()
    .split('\n')
    .map((line) => /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [])
    .filter(([, found, pairs = '']) => found === name && includesAll(pairs.split(','), wanted))
    .reduce((sum, [, , , value]) => sum + Number(value), 0)
}

function includesAll(pairs: readonly string[], wanted: readonly string[]): boolean {
  return wanted.every((pair) => pairs.includes(pair))
}
