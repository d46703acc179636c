/**
 * Names of registries. Docker Hub goes by several, and hides the `library/` of its official images.
 */

export const DOCKER_HUB = 'docker.io'

const ALIASES = new Set(['index.docker.io', 'registry-1.docker.io', 'registry.hub.docker.com'])

/** One name for one registry: lower case, no default port, Docker Hub's aliases folded. */
export function canonicalRegistry(host: string): string {
  const lower = host.toLowerCase().replace(/:443$/, '')
  return ALIASES.has(lower) ? DOCKER_HUB : lower
}

/** `busybox` is `library/busybox` on Docker Hub, and on no other registry. */
export function expandRepository(registry: string, name: string): string {
  return registry === DOCKER_HUB && !name.includes('/') ? `library/${name}` : name
}

/** The test that clients make when they read an image reference (distribution/reference). */
export function looksLikeHost(component: string): boolean {
  return component.includes('.') || component.includes(':') || component === 'localhost'
}
