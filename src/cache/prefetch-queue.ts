/** What is to be fetched in the background: each blob once, in the order of arrival, what is urgent first. */
import type { RepositoryKey } from '../catalog/catalog.ts'
import type { Digest } from '../oci/digest.ts'

export interface PrefetchJob {
  readonly key: RepositoryKey
  readonly digest: Digest
  /** Names of the manifests that need it. */
  readonly manifests: ReadonlySet<string>
  /** Those who want to be told whether it worked. */
  readonly waiting: readonly ((worked: boolean) => void)[]
}

export interface PrefetchQueue {
  /** @param manifest the name of the one that needs it */
  add(key: RepositoryKey, digest: Digest, manifest: string): void
  /** Before everything that is not urgent. Resolves with what is told to those who wait for the job. */
  addUrgent(key: RepositoryKey, digest: Digest): Promise<boolean>
  /** The next job; it counts as running until `end`, and is joined by whoever wants the same. */
  begin(): PrefetchJob | undefined
  end(job: PrefetchJob): void
  /** Jobs that have not begun. */
  length(): number
}

/** Jobs that wait at most; the oldest goes, since its image may have been replaced already. */
const MAX_WAITING = 1_000

interface Job extends PrefetchJob {
  readonly manifests: Set<string>
  readonly waiting: ((worked: boolean) => void)[]
}

export function createPrefetchQueue({
  onDropped,
  onLength,
}: {
  onDropped: (job: PrefetchJob) => void
  onLength: (length: number) => void
}): PrefetchQueue {
  const urgent = new Map<string, Job>()
  const ordinary = new Map<string, Job>()
  const running = new Map<string, Job>()

  const length = (): number => urgent.size + ordinary.size

  function find(name: string): Job | undefined {
    return running.get(name) ?? urgent.get(name) ?? ordinary.get(name)
  }

  function limit(): void {
    while (length() > MAX_WAITING) {
      const dropped = take(ordinary) ?? take(urgent)
      if (dropped) onDropped(dropped)
    }
    onLength(length())
  }

  return {
    length,
    add(key, digest, manifest) {
      const name = nameOf(key, digest)
      const found = find(name)
      if (found) return void found.manifests.add(manifest)
      ordinary.set(name, { key, digest, manifests: new Set([manifest]), waiting: [] })
      limit()
    },
    addUrgent(key, digest) {
      const name = nameOf(key, digest)
      const job = find(name) ?? { key, digest, manifests: new Set<string>(), waiting: [] }
      const result = new Promise<boolean>((resolve) => job.waiting.push(resolve))
      if (!running.has(name)) {
        ordinary.delete(name)
        urgent.set(name, job)
      }
      limit()
      return result
    },
    begin() {
      const job = take(urgent) ?? take(ordinary)
      if (job) running.set(nameOf(job.key, job.digest), job)
      onLength(length())
      return job
    },
    end: ({ key, digest }) => void running.delete(nameOf(key, digest)),
  }
}

/** The oldest. */
function take(jobs: Map<string, Job>): Job | undefined {
  const [name, job] = jobs.entries().next().value ?? []
  if (name !== undefined) jobs.delete(name)
  return job
}

function nameOf({ upstream, repository }: RepositoryKey, digest: Digest): string {
  return `${upstream}/${repository}@${digest}`
}
