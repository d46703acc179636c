/** What is read from `control.sqlite`, looked at before it decides about anything. */
import { ROLES, type Grant } from '../access/principal.ts'
import { isDigest, type Digest } from '../oci/digest.ts'
import { isRepository, isTag, type Repository, type Tag } from '../oci/reference.ts'
import type { StorageError } from '../storage-error.ts'
import { CONTROL } from './sqlite-control-file.ts'
import { damage } from './sqlite-failure.ts'

/** @throws {StorageError} `damaged`, as all that follow */
export function toGrants(text: string): Grant[] {
  const json = toValue(text)
  if (!Array.isArray(json)) throw badRow('grants')
  return json.map(toGrant)
}

function toGrant(json: unknown): Grant {
  const { role, pattern }: Partial<Record<string, unknown>> = Object(json)
  const known = ROLES.find((name) => name === role)
  if (known === undefined || typeof pattern !== 'string') throw badRow('grants')
  return { role: known, pattern }
}

export function toValue(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw badRow('JSON')
  }
}

export function oneOf<Name extends string>(names: readonly Name[], text: string): Name {
  const found = names.find((name) => name === text)
  if (found === undefined) throw badRow(names.join('/'))
  return found
}

export function toDigest(text: string): Digest {
  if (!isDigest(text)) throw badRow('digest')
  return text
}

export function toRepository(text: string): Repository {
  if (!isRepository(text)) throw badRow('repository')
  return text
}

export function toTag(text: string): Tag {
  if (!isTag(text)) throw badRow('tag')
  return text
}

/** What is `null` in a row. */
export function optional<T>(value: T | null): T | undefined {
  return value ?? undefined
}

/** The value itself stays out of messages: it may be a secret. */
function badRow(what: string): StorageError {
  return damage(`a row holds no ${what}`, CONTROL)
}
