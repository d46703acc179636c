/** Who is known at one moment. */
import type { Grant, Principal } from '../access/principal.ts'
import type { ApiTokenRecord } from '../catalog/control-catalog.ts'

export interface KnownUser {
  readonly name: string
  /** bcrypt. */
  readonly passwordHash: string
  readonly grants: readonly Grant[]
  /** Another after each change of the password. May be secret: tokens hold a fingerprint of it. */
  readonly version: string
  /** From the htpasswd file, or added by an operator. */
  readonly origin: 'file' | 'operator'
}

/** Gives the same object for the same name until something is changed: principals are kept by it. */
export interface Directory {
  user(name: string): KnownUser | undefined
  /** @param id the public part of the token; whether it has expired is up to the caller */
  robot(id: string): ApiTokenRecord | undefined
  readonly anonymous: Principal
}
