/** What goes with a release says the same everywhere. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { readPage, ROOT } from './pages.ts'

/** Of the text of Apache-2.0, as the Apache Software Foundation has it. */
const APACHE_2_0 = 'cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30'

const PACKAGE = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')) as {
  readonly version: string
  readonly license: string
  readonly engines: { readonly node: string }
}

describe('a release', () => {
  it('is licensed by the whole text that package.json and the README name', () => {
    const text = readFileSync(new URL('LICENSE', ROOT))
    expect(createHash('sha256').update(text).digest('hex')).toBe(APACHE_2_0)
    expect(PACKAGE.license).toBe('Apache-2.0')
    expect(readPage('README.md')).toMatch(/^## License\n\nApache-2\.0\n/m)
  })

  it('has its version in the changelog, below what is not released', () => {
    const headings = [...readPage('CHANGELOG.md').matchAll(/^## (.*)$/gm)].map(([, it]) => it)
    expect(headings[0]).toBe('[Unreleased]')
    expect(readPage('CHANGELOG.md')).toContain(PACKAGE.version)
  })

  it('names its version where fixes are promised and others are compared', () => {
    const [, minor = ''] = /^(\d+\.\d+)\./.exec(PACKAGE.version) ?? []
    expect(readPage('SECURITY.md')).toMatch(new RegExp(`^\\| ${minor}\\.x +\\| yes`, 'm'))
    expect(readPage('docs/comparison.md')).toContain(`Entrepot ${minor} `)
  })

  it('names the Node that it needs', () => {
    const [, least = ''] = /^>=(.*)$/.exec(PACKAGE.engines.node) ?? []
    for (const page of ['README.md', 'CONTRIBUTING.md']) {
      expect(readPage(page)).toContain(`Node ${least} or later`)
    }
  })
})
