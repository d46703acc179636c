/** Puts the operators' side together. */
import type { Principal } from '../access/principal.ts'
import type { ControlCatalog } from '../catalog/control-catalog.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { createApiToken } from './api-token.ts'
import { auditRecord, configChangedRecord } from './audit-record.ts'
import type { Caller, Control, ControlSettings, Policy } from './control.ts'
import { createOperator } from './create-operator.ts'
import { withCurrentRights } from './current-rights.ts'
import { createExplainer, type KnownContent } from './explainer.ts'
import { createHtpasswdFile, type HtpasswdFile } from './htpasswd-file.ts'
import { createIdentifier } from './identify.ts'
import { createLoginAudit } from './login-audit.ts'
import { hashPassword, problemOfPassword } from './passwords.ts'
import { createMoments } from './moments.ts'
import { grantsOfFileUser } from './policy.ts'
import { createRefusals } from './refusals.ts'
import { firstAdminDecision } from './token-decisions.ts'
import { createWebhook } from './webhook.ts'

interface ControlOptions {
  /** Closed with the control. */
  readonly catalog: ControlCatalog
  readonly settings: ControlSettings
  readonly content: KnownContent
  readonly metrics: Metrics
  readonly log: Log
  readonly now?: () => number
}

/**
 * Closes the catalog where it fails.
 * @throws {StorageError}, and an Error when the file of users cannot be read
 */
export async function createControl(options: ControlOptions): Promise<Control> {
  try {
    return await openControl(options)
  } catch (error) {
    await options.catalog.close()
    throw error
  }
}

async function openControl(options: ControlOptions): Promise<Control> {
  const { catalog, content, metrics, log, now = Date.now } = options
  let { settings } = options
  let file = openFile(settings)
  const moments = await createMoments({ catalog, settings: () => settings, file: () => file, now })

  const policy = (): Policy => moments.current().policy
  const audit = createLoginAudit({ catalog, log, now })
  const identifier = createIdentifier({
    directory: () => moments.current(),
    bearerKey: await catalog.secret('bearer'),
    now,
    metrics,
    onRejected: (login) => audit.rejected(login),
  })
  const webhook = createWebhook({ settings: () => settings, metrics, log, now })
  const refusals = createRefusals({
    catalog,
    secret: await catalog.secret('request'),
    onNew(requests) {
      webhook.tell(requests)
      countOpenRequests()
    },
    metrics,
    log,
    now,
  })
  const explain = createExplainer({ policy, content, now })

  function openFile({ htpasswd }: ControlSettings): HtpasswdFile | undefined {
    return htpasswd === undefined ? undefined : createHtpasswdFile(htpasswd, { log, now })
  }

  /** A file that is of no use must not keep new rules out. */
  function openFileOrKeep(changed: ControlSettings): HtpasswdFile | undefined {
    try {
      return openFile(changed)
    } catch (error) {
      log.error({ err: error }, 'the new file of users is of no use: the users are those of before')
      settings = { ...changed, htpasswd: undefined }
      return file
    }
  }

  function countOpenRequests(): void {
    catalog
      .openRequests()
      .then(metrics.accessRequestsOpen)
      .catch((error: unknown) => log.warn({ err: error }, 'open requests could not be counted'))
  }

  function refresh(): Promise<void> | undefined {
    // Whatever was decided may have settled some.
    return moments.refresh()?.then(countOpenRequests)
  }

  countOpenRequests()
  return {
    refresh,
    isCurrent: () => moments.isCurrent(),
    policy,
    identify: (authorization, address) => identifier.identify(authorization, address),
    issueToken: (principal: Principal) => identifier.issueToken(principal),
    noteRefusal: (caller, pull) => refusals.note(caller, pull),
    operator: (caller: Caller) =>
      createOperator(
        {
          catalog: withCurrentRights(catalog, {
            principal: caller.principal,
            fileUsers: () => fileGrants(settings, file),
            now,
          }),
          settings: () => settings,
          fileUsers: () => fileGrants(settings, file),
          explain,
          hashPassword,
          problemOfPassword,
          createApiToken,
          now,
        },
        caller,
      ),
    recordChange: (caller, action, subject, change) =>
      catalog.appendAudit([auditRecord({ caller, now: now() }, action, subject, change)]),
    async configure(changed) {
      const { htpasswd } = settings
      const record = configChangedRecord(settings, changed, now())
      settings = changed
      if (changed.htpasswd !== htpasswd) file = openFileOrKeep(changed)
      await moments.renew()
      if (record) await catalog.appendAudit([record])
    },
    async makeFirstAdminToken() {
      const made = createApiToken()
      const isMade = await catalog.change(({ state }) =>
        firstAdminDecision(state, fileGrants(settings, file), made, now()),
      )
      return isMade ? made.token : undefined
    },
    async idle() {
      await refusals.idle()
      await audit.idle()
      await webhook.idle()
    },
    async close() {
      await refusals.close()
      await webhook.close()
      await audit.close()
      await catalog.close()
    },
  }
}

function fileGrants(settings: ControlSettings, file: HtpasswdFile | undefined) {
  const names = [...(file?.users().keys() ?? [])]
  return new Map(names.map((name) => [name, grantsOfFileUser(settings, name)] as const))
}
