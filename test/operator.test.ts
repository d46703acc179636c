/** What operators decide on the host, on the data folder itself: beside a mirror, and before its first start. */
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { userInfo, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseConfig } from '../src/config/load.ts'
import { createLog } from '../src/log.ts'
import { openOperator, type AuditEntry, type Operator } from '../src/operator.ts'
import { buildImage } from './fakes/images.ts'
import { startRegistry } from './fakes/registry.ts'
import { startMirror } from './support/mirror.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'entrepot-operator-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function onHost<T>(data: string, work: (operator: Operator) => Promise<T>): Promise<T> {
  const text = `data: ${data}\nupstreams: { docker.io: {} }\nallow: [docker.io/library/*]\n`
  const config = parseConfig(text, { file: join(data, 'mirrors.yml'), env: {} })
  const log = createLog({ write: () => undefined })
  const opened = await openOperator(config, { log })
  try {
    return await work(opened.operator)
  } finally {
    await opened.close()
  }
}

it('whoever may write the folder may do everything, and is named in the audit', async () => {
  const data = join(folder, 'new')
  const rule = await onHost(data, (operator) =>
    operator.addRule({ effect: 'deny', pattern: 'docker.io/library/redis' }),
  )
  expect(rule).toMatchObject({ effect: 'deny', pattern: 'docker.io/library/redis' })
  await onHost(data, async (operator) => {
    const name = userInfo().username
    expect(await operator.whoami()).toMatchObject({ kind: 'host', name })
    expect(await operator.rules({ effect: 'deny' })).toHaveLength(1)
    const entries: AuditEntry[] = []
    for await (const entry of operator.audit({})) entries.push(entry)
    expect(entries).toMatchObject([{ action: 'rule.add', address: 'local' }])
  })
  // For nobody else to read: password hashes lie in it.
  expect((await stat(join(data, 'control.sqlite'))).mode & 0o777).toBe(0o600)
})

it('before the first start nothing is known of any image, beside a mirror what that knows', async () => {
  const image = 'docker.io/library/app:v1'
  const unknown = await onHost(join(folder, 'empty'), (operator) => operator.explain(image))
  expect(JSON.stringify(unknown)).not.toContain('sha256:')

  await using registry = await startRegistry()
  const pushed = buildImage({ seed: 'on the host' })
  registry.push('library/app', 'v1', pushed)
  await using mirror = await startMirror({ upstreams: { 'docker.io': registry } })
  await mirror.pull('docker.io/library/app', 'v1')
  await mirror.app.idle()
  const known = await onHost(mirror.dataDir, (operator) => operator.explain(image))
  expect(JSON.stringify(known)).toContain(pushed.digest)
})
