import { describe, expect, it } from 'vitest'
import { ImageListError, parseImageList } from '../../src/warm/image-list.ts'

const DIGEST = `sha256:${'0'.repeat(64)}`

/** That of the manual of skopeo sync, but for the digest, which has to be one. */
const MANUAL = `registry.example.com:
    images:
        busybox: []
        redis:
            - "1.0"
            - "2.0"
            - "${DIGEST}"
    images-by-tag-regex:
        nginx: ^1\\.13\\.[12]-alpine-perl$
    credentials:
        username: john
        password: this is a secret
    tls-verify: true
    cert-dir: /home/john/certs
quay.io:
    tls-verify: false
    images:
        coreos/etcd:
            - latest
`

it('the list of the manual is read as skopeo reads it', () => {
  expect(parseImageList(MANUAL, 'sync.yml')).toEqual({
    sources: [
      { repository: 'registry.example.com/busybox' },
      { image: 'registry.example.com/redis:1.0' },
      { image: 'registry.example.com/redis:2.0' },
      { image: `registry.example.com/redis@${DIGEST}` },
      { repository: 'registry.example.com/nginx', matching: '^1\\.13\\.[12]-alpine-perl$' },
      { image: 'quay.io/coreos/etcd:latest' },
    ],
    access: [
      {
        registry: 'registry.example.com',
        credentials: { username: 'john', password: 'this is a secret' },
        tlsVerify: true,
        certDir: '/home/john/certs',
      },
      { registry: 'quay.io', credentials: undefined, tlsVerify: false, certDir: undefined },
    ],
  })
})

it('tags that look like numbers stay what is written, and nothing means all', () => {
  const text = 'docker.io:\n  images:\n    alpine: [3.10, 0x10, yes]\n    redis:\n'
  expect(parseImageList(text, 'list.yml').sources).toEqual([
    { image: 'docker.io/alpine:3.10' },
    { image: 'docker.io/alpine:0x10' },
    { image: 'docker.io/alpine:yes' },
    { repository: 'docker.io/redis' },
  ])
})

it('ranges of versions are read', () => {
  const text = 'docker.io:\n  images-by-semver:\n    library/alpine: ">= 3.12.0"\n'
  expect(parseImageList(text, 'list.yml').sources).toEqual([
    { repository: 'docker.io/library/alpine', semver: '>= 3.12.0' },
  ])
})

describe('what is wrong is told with line and column', () => {
  it.each([
    ['', 'list.yml:1:1: there is no image in this list'],
    ['docker.io: {}', 'list.yml:1:1: nothing is said of this registry'],
    ['docker.io:\n  images: {}', 'list.yml:1:1: there is no image in this list'],
    ['- docker.io/redis', 'list.yml:1:1: here must be registries'],
    ['docker.io/redis: {}', 'list.yml:1:1: this is not the name of a registry'],
    ['[a]: {}', 'list.yml:1:1: this is a key that is not plain text'],
    ['docker.io:\n  image: {}', 'list.yml:2:3: this is not a key; the keys here are images,'],
    ['docker.io:\n  images: [redis]', 'list.yml:2:11: here must be repositories'],
    ['docker.io:\n  images:\n    Redis: []', 'list.yml:3:5: this is not the name of a repository'],
    ['docker.io:\n  images:\n    redis: 7', 'list.yml:3:12: this is not a list of tags'],
    ['docker.io:\n  images:\n    redis: ["7", ":"]', 'list.yml:3:18: this is neither a tag nor'],
    ['docker.io:\n  images:\n    redis: [[7]]', 'list.yml:3:13: this is neither a tag nor'],
    ['a.b:\n  images-by-tag-regex: { x: "(" }', 'list.yml:2:29: this is not a regular expression'],
    ['a.b:\n  images-by-tag-regex:\n    x:', 'list.yml:3:7: here must be text'],
    ['a.b:\n  images-by-semver: { x: [1] }', 'list.yml:2:26: here must be text'],
    ['a.b:\n  images-by-semver: { X: "1" }', 'list.yml:2:23: this is not the name of a repository'],
    ['a.b:\n  images-by-semver: { x: "foo" }', 'list.yml:2:26: this is not a range of versions'],
    ['a.b:\n  tls-verify: maybe', 'list.yml:2:15: this is neither true nor false'],
    ['a.b:\n  cert-dir: ""', 'list.yml:2:13: here must be the name of a folder'],
    ['a.b:\n  credentials: { username: x }', 'list.yml:2:3: credentials need a username and a'],
    ['a.b:\n  images: { x: [1]\n', 'list.yml:3:1: '],
    ['a.b:\n\timages: {}', 'list.yml:2:1: this line is indented with a tab'],
    [
      'a.b: {}\n---\nc.d: {}',
      'list.yml:2:1: a second document (---) begins here; a list of images',
    ],
    ['a.b: { images: { x: [1] } }\na.b: {}', 'list.yml:2:1: this is there twice'],
    ['['.repeat(101), 'list.yml:1:1: is nested deeper than 100 levels, which no list'],
  ])('%j', (text, message) => {
    expect(messageOf(text)).toContain(message)
    expect(messageOf(text).split('\n')[0]).toContain(message)
  })

  it('all at once, and the password in none of them', () => {
    const text = `docker.io:
  colour: blue
  credentials:
    username: [hunter2]
    pasword: hunter2
  images:
    redis: ["a b"]
`
    const message = messageOf(text)
    expect(message.split('\n')).toHaveLength(5)
    expect(message).not.toContain('hunter2')
    expect(messageOf(MANUAL.replace('    tls', '\ttls'))).not.toContain('secret')
  })

  it('as much as anybody reads', () => {
    const lines = Array.from({ length: 30 }, (_, index) => `  key${index}: x`)
    expect(messageOf(`docker.io:\n${lines.join('\n')}`).split('\n')).toHaveLength(20)
  })

  it('a list with more images than a job has', () => {
    const tags = Array.from({ length: 10_001 }, (_, index) => index).join(',')
    expect(messageOf(`a.b: { images: { x: [${tags}] } }`)).toContain('more than 10000 images')
  })
})

function messageOf(text: string): string {
  try {
    parseImageList(text, 'list.yml')
  } catch (error) {
    if (error instanceof ImageListError) return error.message
    throw error
  }
  throw new Error('It was accepted.')
}
