import { expect, it } from 'vitest'
import { createPins } from '../../src/access/pins.ts'

const name = (upstream: string, repository: string) => ({ upstream, repository })

it('nothing is pinned where nothing is said', () => {
  expect(createPins([])(name('docker.io', 'library/alpine'), 'latest')).toBe(false)
})

it.each([
  ['docker.io/library/alpine:3.20', 'docker.io', 'library/alpine', '3.20', true],
  ['docker.io/library/alpine:3.20', 'docker.io', 'library/alpine', '3.21', false],
  ['docker.io/library/alpine:3.20', 'quay.io', 'library/alpine', '3.20', false],
  ['docker.io/library/*', 'docker.io', 'library/alpine', 'latest', true],
  ['docker.io/library/*', 'docker.io', 'library/team/app', 'latest', false],
  ['quay.io/team/**', 'quay.io', 'team/deep/app', 'v1', true],
  ['**', 'ghcr.io', 'anything', 'at-all', true],
])('%s means for %s/%s:%s that it is pinned: %s', (pattern, upstream, repository, tag, pinned) => {
  expect(createPins([pattern])(name(upstream, repository), tag)).toBe(pinned)
})

it('one of several patterns is enough', () => {
  const isPinned = createPins(['quay.io/a:v1', 'quay.io/b:v2'])
  expect(isPinned(name('quay.io', 'b'), 'v2')).toBe(true)
  expect(isPinned(name('quay.io', 'b'), 'v1')).toBe(false)
})
