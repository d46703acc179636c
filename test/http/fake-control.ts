/** Who may what, as a test says it, and what was refused. */
import { type Allowlist, createAllowlist } from '../../src/access/allowlist.ts'
import type { Grant, Principal, Role } from '../../src/access/principal.ts'
import type { Caller, Control, Identity, Policy, RefusedPull } from '../../src/control/control.ts'
import type { Operator } from '../../src/control/operator.ts'

export interface FakeControlOptions {
  /** Default: everything. */
  readonly allowlist?: Allowlist
  /** What everybody may pull; default: everything. */
  readonly anonymous?: readonly string[]
  readonly asksForLogin?: boolean
  readonly anonymousStatus?: boolean
  /** By the header `Authorization`; another one is rejected. */
  readonly identities?: Readonly<Record<string, Partial<Identity>>>
  readonly refresh?: () => Promise<void> | undefined
  readonly operator?: Operator
}

export interface FakeControl extends Control {
  readonly refusals: readonly (RefusedPull & { readonly caller: Caller })[]
  /** Addresses from which somebody was looked at. */
  readonly identified: readonly string[]
}

/** What every refusal is found under. */
export const REQUEST_ID = 'r-7f3kq2m5xa'

export function fakeControl(options: FakeControlOptions = {}): FakeControl {
  const refusals: (RefusedPull & { caller: Caller })[] = []
  const identified: string[] = []
  const nobody: Principal = {
    kind: 'anonymous',
    name: 'anonymous',
    grants: (options.anonymous ?? ['**']).map((pattern) => ({ role: 'pull', pattern })),
  }
  const policy: Policy = {
    routing: {
      upstreams: new Set(['docker.io', 'quay.io', 'registry.example:5000']),
      hosts: new Map(),
      defaultUpstream: 'docker.io',
    },
    allowlist: options.allowlist ?? createAllowlist(['**'], []),
    anonymous: nobody,
    asksForLogin: options.asksForLogin ?? false,
    anonymousStatus: options.anonymousStatus ?? true,
    isApproved: () => false,
    frozenTo: () => undefined,
    frozenDigests: [],
  }
  return {
    refusals,
    identified,
    refresh: () => options.refresh?.(),
    isCurrent: () => true,
    policy: () => policy,
    async identify(authorization, address) {
      identified.push(address)
      const unknown = authorization === undefined ? 'none' : 'rejected'
      const shown = options.identities?.[authorization ?? '']
      const credential = shown === undefined ? unknown : 'accepted'
      return { principal: nobody, credential, retryAfter: undefined, validUntil: 0, ...shown }
    },
    issueToken: async ({ kind, name }) => ({
      token: `token-of-${kind}-${name}`,
      expiresIn: 300,
      issuedAt: new Date('2026-01-02T03:04:05.678Z'),
    }),
    noteRefusal(caller, pull) {
      refusals.push({ ...pull, caller })
      return REQUEST_ID
    },
    operator() {
      if (options.operator === undefined) throw new Error('This test has no operator.')
      return options.operator
    },
    recordChange: async () => undefined,
    configure: async () => undefined,
    makeFirstAdminToken: async () => undefined,
    idle: async () => undefined,
    close: async () => undefined,
  }
}

/** @param grants `pull=docker.io/**` */
export function principal(
  kind: Principal['kind'],
  name: string,
  ...grants: readonly `${Role}=${string}`[]
): Principal {
  const read = (text: string): Grant => {
    const at = text.indexOf('=')
    return { role: text.slice(0, at) as Role, pattern: text.slice(at + 1) }
  }
  return { kind, name, grants: grants.map(read) }
}
