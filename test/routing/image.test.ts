import { describe, expect, it } from 'vitest'
import { OciError } from '../../src/oci/error.ts'
import { imageText, parseImage } from '../../src/routing/image.ts'

const TABLE = {
  upstreams: new Set(['docker.io', 'quay.io', 'registry.lan:5000']),
  hosts: new Map<string, string>(),
  defaultUpstream: 'docker.io',
}
const DIGEST = `sha256:${'a'.repeat(64)}`

describe('an image as people write it', () => {
  it.each([
    ['redis', 'docker.io/library/redis'],
    ['redis:7', 'docker.io/library/redis:7'],
    ['docker.io/redis:7', 'docker.io/library/redis:7'],
    ['index.docker.io/library/redis', 'docker.io/library/redis'],
    ['quay.io/coreos/etcd:v3.1', 'quay.io/coreos/etcd:v3.1'],
    [`quay.io/coreos/etcd@${DIGEST}`, `quay.io/coreos/etcd@${DIGEST}`],
    [`quay.io/coreos/etcd:v3.1@${DIGEST}`, `quay.io/coreos/etcd:v3.1@${DIGEST}`],
    ['registry.lan:5000/app', 'registry.lan:5000/app'],
    ['registry.lan:5000/app:1', 'registry.lan:5000/app:1'],
  ])('%s means %s', (text, meant) => {
    expect(imageText(parseImage(TABLE, text))).toBe(meant)
  })

  it.each([
    ['', 'NAME_INVALID'],
    ['gcr.io/distroless/static', 'NAME_UNKNOWN'],
    ['quay.io/coreos//etcd', 'NAME_INVALID'],
    ['quay.io/coreos/etcd:', 'TAG_INVALID'],
    ['quay.io/coreos/etcd:a b', 'TAG_INVALID'],
    ['quay.io/coreos/etcd@sha256:abc', 'DIGEST_INVALID'],
    ['quay.io/Coreos/etcd', 'NAME_INVALID'],
    ['https://quay.io/coreos/etcd', 'NAME_UNKNOWN'],
  ])('%s is refused as %s', (text, code) => {
    expect(codeOf(() => parseImage(TABLE, text))).toBe(code)
  })
})

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return error instanceof OciError ? error.code : String(error)
  }
  return 'nothing'
}
