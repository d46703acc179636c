/** What is known of public registries, so that naming one is enough. */

interface Preset {
  readonly endpoints: readonly string[]
  /** Token servers on another host than the endpoint; the endpoint's own host needs no entry. */
  readonly realms: readonly string[]
}

const PRESETS: ReadonlyMap<string, Preset> = new Map([
  // The name in references and the host of the API differ, and tokens come from a third one.
  ['docker.io', { endpoints: ['https://registry-1.docker.io'], realms: ['auth.docker.io'] }],
  ['quay.io', onItsOwnHost('quay.io')],
  ['gcr.io', onItsOwnHost('gcr.io')],
  ['ghcr.io', onItsOwnHost('ghcr.io')],
  // Never asks for a token; the registries that it redirects to may, and then get an anonymous one.
  ['registry.k8s.io', onItsOwnHost('registry.k8s.io')],
  ['mcr.microsoft.com', onItsOwnHost('mcr.microsoft.com')],
  ['public.ecr.aws', onItsOwnHost('public.ecr.aws')],
  // Tokens come from the web application.
  ['registry.gitlab.com', { endpoints: ['https://registry.gitlab.com'], realms: ['gitlab.com'] }],
  // Names its own host at first, and this one once a token has expired.
  ['nvcr.io', { endpoints: ['https://nvcr.io'], realms: ['authn.nvidia.com'] }],
  ['registry.suse.com', onItsOwnHost('registry.suse.com')],
  ['registry.opensuse.org', onItsOwnHost('registry.opensuse.org')],
])

/** @param name as in image references, e.g. `docker.io` */
export function presetFor(name: string): Preset | undefined {
  return PRESETS.get(name)
}

/** API and token server are the host in the name. */
function onItsOwnHost(host: string): Preset {
  return { endpoints: [`https://${host}`], realms: [] }
}
