import { readFileSync } from 'node:fs'

/** undici sends none of its own, and Docker Hub wants one. */
export const USER_AGENT = `entrepot/${packageVersion()}`

/** `src/upstream` and `dist/upstream` lie equally deep below package.json. */
function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
