/** Logins of all processes are judged in one: guesses are counted, told and held back there. */
import { readAuthorization } from '../control/authorization-header.ts'
import type { Control } from '../control/control.ts'
import type { LoginVerdict } from './protocol.ts'

/**
 * What the main process has accepted is looked up here as well, for the principal. That costs a second bcrypt
 * for each login and worker, which is remembered for a minute as the first is.
 * @param judge asks the main process
 */
export function withSharedLogins(
  control: Control,
  judge: (authorization: string | undefined, address: string) => Promise<LoginVerdict>,
): Control {
  return {
    ...control,
    async identify(authorization, address) {
      if (!isLogin(authorization)) return control.identify(authorization, address)
      const { credential, retryAfter } = await judge(authorization, address)
      if (credential === 'accepted') return control.identify(authorization, address)
      return { principal: control.policy().anonymous, credential, retryAfter, validUntil: 0 }
    },
  }
}

/** What somebody may guess; our bearer tokens are signed. */
function isLogin(authorization: string | undefined): boolean {
  const { kind } = readAuthorization(authorization)
  return kind === 'password' || kind === 'api-token'
}
