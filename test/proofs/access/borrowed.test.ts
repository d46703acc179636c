/** Who may decide about one repository gets nothing of another by it, however the digest is named. */
import { expect, it } from 'vitest'
import { buildImage } from '../../fakes/images.ts'
import { startRegistry } from '../../fakes/registry.ts'
import { request } from '../../support/client.ts'
import { startMirror } from '../../support/mirror.ts'

it('an operator gets no content of another repository by freezing or approving its digest', async () => {
  const secret = buildImage({ seed: 'secret', layers: [300] })
  await using vault = await startRegistry()
  await using quay = await startRegistry()
  vault.push('secret/app', '1', secret)
  quay.push('team/app', '1', buildImage({ seed: 'own' }))
  await using mirror = await startMirror({
    upstreams: { 'vault.example': vault, 'quay.io': quay },
    anonymous: [],
  })
  const first = `Bearer ${await mirror.app.makeFirstAdminToken()}`
  const tokenFor = async (authorization: string, grants: readonly unknown[]): Promise<string> => {
    const headers = { Authorization: authorization, 'Content-Type': 'application/json' }
    const response = await fetch(`${mirror.url}/api/v1/tokens`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ name: 'robot', grants }),
    })
    const { token } = (await response.json()) as { token: string }
    return `Bearer ${token}`
  }
  const admin = await tokenFor(first, [{ role: 'admin', pattern: '**' }])
  const operator = await tokenFor(admin, [{ role: 'operate', pattern: 'quay.io/team/**' }])
  await mirror.pull('vault.example/secret/app', '1', { headers: { Authorization: admin } })

  const { digest } = secret
  const edits = [
    ['/frozen-tags', `quay.io/team/app:stolen@${digest}`],
    ['/approvals', `quay.io/team/app@${digest}`],
  ] as const
  for (const [path, image] of edits) {
    const answer = await fetch(`${mirror.url}/api/v1${path}`, {
      method: 'POST',
      headers: { Authorization: operator, 'Content-Type': 'application/json' },
      body: JSON.stringify({ image }),
    })
    expect(answer.status).toBe(201)
    await answer.body?.cancel()
  }
  const paths = [
    'manifests/stolen',
    `manifests/${digest}`,
    `referrers/${digest}`,
    ...secret.blobs.map((blob) => `blobs/${blob.digest}`),
  ]
  for (const method of ['GET', 'HEAD'] as const) {
    for (const path of paths) {
      const target = `/v2/quay.io/team/app/${path}`
      const answer = await request({
        url: mirror.url,
        path: target,
        method,
        headers: { Authorization: operator },
      })
      for (const { bytes } of [secret, ...secret.blobs]) {
        expect(answer.body.includes(Buffer.from(bytes)), `${method} ${path}`).toBe(false)
      }
    }
  }
})
