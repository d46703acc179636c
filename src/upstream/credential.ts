/** Who we can be towards a server. */

/** As configured: a user, or a program `docker-credential-<helper>` that is asked for one. */
export type Credential = (UserPassword | { readonly helper: string }) & {
  /** Base URLs, as the upstream has them, of the endpoints that it is for; absent: all of them. */
  readonly endpoints?: readonly string[]
}

export interface UserPassword {
  readonly username: string
  readonly password: string
}

/** What is presented in the end; an identity token is only good for getting tokens. */
export type Identity = UserPassword | { readonly identityToken: string }

/** Where the identity of one account towards one endpoint comes from. */
export interface IdentitySource {
  /**
   * The identity, `undefined`: nobody.
   * @throws {UpstreamError} unavailable, blaming the account, when it cannot be had
   */
  get(signal: AbortSignal): Promise<Identity | undefined>
  /** The identity was refused. True when asking again may give another. */
  refused(identity: Identity): boolean
}

export function createFixedIdentity(identity: UserPassword): IdentitySource {
  return { get: () => Promise.resolve(identity), refused: () => false }
}

/** The one that takes the place of an identity that was refused, where there is one. */
export async function renewIdentity(
  source: IdentitySource,
  refused: Identity,
  signal: AbortSignal,
): Promise<Identity | undefined> {
  if (!source.refused(refused)) return undefined
  const fresh = await source.get(signal)
  return fresh === undefined || isSame(fresh, refused) ? undefined : fresh
}

/** The value of `Authorization`, RFC 7617. */
export function basicAuthorization({ username, password }: UserPassword): string {
  return `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`
}

function isSame(one: Identity, other: Identity): boolean {
  if ('identityToken' in one) {
    return 'identityToken' in other && one.identityToken === other.identityToken
  }
  return 'password' in other && one.username === other.username && one.password === other.password
}
