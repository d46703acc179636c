/** docs/access.md says what the program does: its API, its audit, how a message of the webhook is checked. */
import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ACTIONS } from '../../src/access/authorize.ts'
import { parseConfig } from '../../src/config/load.ts'
import { actionOf } from '../../src/http/require-action.ts'
import { createRoutes } from '../../src/http/routes.ts'
import { fakeDependencies } from '../http/fake-mirror.ts'

const PAGE = readFileSync(new URL('../../docs/access.md', import.meta.url), 'utf8')

/** `GET /api/v1/rules operate` */
const ROUTES = new Set(
  createRoutes(fakeDependencies({}), { registry: false, api: true }).routes.flatMap(
    ({ method, path, handler }) => {
      const action = actionOf(handler)
      if (method === 'ALL' || !path.startsWith('/api/v1/') || typeof action !== 'string') return []
      return [`${method} ${path.replace(/:(\w+)/g, '{$1}')} ${ACTIONS[action] ?? ''}`.trim()]
    },
  ),
)

describe('docs/access.md', () => {
  it('lists what the API has, and the role that each needs', () => {
    const rows = [...PAGE.matchAll(/^\| `([A-Z]+)` *\| `(\/api\/v1\/.*?)` *\| *(?:`(\w+)`)? *\|/gm)]
    const listed = rows.map(([, method, path, role = '']) => `${method} ${path} ${role}`.trim())
    expect(ROUTES.size).toBeGreaterThan(20)
    expect(listed.toSorted()).toEqual([...ROUTES].toSorted())
  })

  it('asks the API for nothing that there is not', () => {
    const paths = [...PAGE.matchAll(/mirror\.example(\/api\/v1\/[^\s'"?]+)/g)].map(
      ([, path = '']) => path,
    )
    const known = [...ROUTES].map((route) => {
      const [, path = ''] = route.split(' ')
      return new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`)
    })
    expect(paths.length).toBeGreaterThan(3)
    expect(paths.filter((path) => !known.some((it) => it.test(path)))).toEqual([])
  })

  it('explains every action of the audit', () => {
    const [, type = ''] = /type AuditAction =\n((?: *\| '.*'\n)+)/.exec(auditSource()) ?? []
    const actions = [...type.matchAll(/'(.*)'/g)].map(([, action]) => action)
    const [, table = ''] = /^\| action .*\n.*\n((?:\|.*\n)+)/m.exec(PAGE) ?? []
    const cells = table.split('\n').map((row) => row.split('|')[1] ?? '')
    const listed = cells.flatMap((cell) => [...cell.matchAll(/`(.+?)`/g)].map(([, it]) => it))
    expect(actions.length).toBeGreaterThan(10)
    expect(new Set(listed)).toEqual(new Set(actions))
  })

  it('checks signatures rightly', async () => {
    const { isGenuine } = await example()
    const [body, secret] = ['{"event":"access-requested"}', 'a secret of some length']
    const header = `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`
    expect(isGenuine(body, header, secret)).toBe(true)
    expect(isGenuine(`${body} `, header, secret)).toBe(false)
    expect(isGenuine(body, header, 'another secret')).toBe(false)
    expect(isGenuine(body, undefined, secret)).toBe(false)
  })

  it('has parts of a configuration that are accepted', () => {
    const upstreams = 'upstreams: { docker.io: {}, quay.io: {}, registry.k8s.io: {} }\n'
    const origin = { file: 'mirrors.yml', env: {} }
    const blocks = [...PAGE.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text = '']) => text)
    expect(blocks.length).toBeGreaterThan(1)
    for (const block of blocks) {
      const inline = block.replace(/secretFile: \S+/, `secret: ${'k'.repeat(32)}`)
      expect(() => parseConfig(upstreams + inline, origin)).not.toThrow()
    }
  })
})

interface Example {
  readonly isGenuine: (body: string, header: string | undefined, secret: string) => boolean
}

/** The code on the page. */
async function example(): Promise<Example> {
  const [, code = ''] = /^```js\n(.*?)^```$/ms.exec(PAGE) ?? []
  return (await import(`data:text/javascript,${encodeURIComponent(code)}`)) as Example
}

function auditSource(): string {
  return readFileSync(new URL('../../src/control/audit-record.ts', import.meta.url), 'utf8')
}
