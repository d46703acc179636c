/** The policy of this moment: made again when anything that it is made of has changed. */
import type { ControlCatalog } from '../catalog/control-catalog.ts'
import type { ControlSettings } from './control.ts'
import { momentOf, type FileUsers, type Moment } from './policy.ts'

/** A file of users, as it is now. */
interface UserSource {
  /** Whether it has changed since the last call. */
  refresh(): boolean
  users(): FileUsers
}

interface Dependencies {
  readonly catalog: Pick<ControlCatalog, 'state' | 'version'>
  readonly settings: () => ControlSettings
  readonly file: () => UserSource | undefined
  readonly now: () => number
}

export interface Moments {
  current(): Moment
  /** As `Control.isCurrent`. */
  isCurrent(): boolean
  /** As `Control.refresh`. */
  refresh(): Promise<void> | undefined
  /** For what only the caller knows to have changed. */
  renew(): Promise<void>
}

export async function createMoments(dependencies: Dependencies): Promise<Moments> {
  const { catalog, file, now } = dependencies
  let version = catalog.version()
  let moment = await make(dependencies)
  /** What the moment is made of has changed in a way that no version tells. */
  let isStale = false
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined

  function isCurrent(): boolean {
    if (file()?.refresh() === true) isStale = true
    return !isStale && catalog.version() === version && now() < moment.endsAt
  }

  async function load(): Promise<void> {
    // Read first: what changes while the rest is read makes the next request load again.
    const seen = catalog.version()
    isStale = false
    try {
      moment = await make(dependencies)
      version = seen
    } catch (error) {
      isStale = true
      throw error
    }
  }

  function start(): Promise<void> {
    running = load().finally(() => (running = undefined))
    return running
  }

  /** What is being loaded may have been read before the change that this caller knows of. */
  function loadBehind(earlier: Promise<void>): Promise<void> {
    next ??= earlier
      .catch(() => undefined)
      .then(() => {
        next = undefined
        return isCurrent() ? undefined : start()
      })
    return next
  }

  const reload = (): Promise<void> => (running === undefined ? start() : loadBehind(running))

  return {
    current: () => moment,
    isCurrent: () => running === undefined && isCurrent(),
    refresh: () => (running === undefined && isCurrent() ? undefined : reload()),
    renew() {
      isStale = true
      return reload()
    },
  }
}

async function make({ catalog, settings, file, now }: Dependencies): Promise<Moment> {
  return momentOf(settings(), await catalog.state(), file()?.users() ?? new Map(), now())
}
