import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import {
  bareMediaType,
  descriptorsOf,
  emptyIndex,
  isManifestType,
  MANIFEST_ACCEPT,
  MANIFEST_MAX_BYTES,
  OCI_INDEX,
  parseManifest,
  type ManifestFacts,
} from '../../src/oci/manifest.ts'
import { digests } from './names.ts'
import { refusal } from './refusal.ts'

const OCI_IMAGE = 'application/vnd.oci.image.manifest.v1+json'
const OCI_ARTIFACT = 'application/vnd.oci.artifact.manifest.v1+json'
const DOCKER_IMAGE = 'application/vnd.docker.distribution.manifest.v2+json'
const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json'
const SCHEMA_1 = 'application/vnd.docker.distribution.manifest.v1+prettyjws'
const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json'
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar+gzip'

const config = { mediaType: CONFIG_TYPE, digest: digestOf(Buffer.from('config')), size: 6 }
const layer = { mediaType: LAYER_TYPE, digest: digestOf(Buffer.from('layer')), size: 5 }
const child = { mediaType: OCI_IMAGE, digest: digestOf(Buffer.from('child')), size: 500 }

const MANIFEST_KEYS = 'schemaVersion mediaType manifests layers config blobs subject'.split(' ')
const KEYS_OF_EVERY_OBJECT = ['__proto__', 'constructor', 'toString']

const image = { schemaVersion: 2, config, layers: [layer] }
const index = { schemaVersion: 2, manifests: [child] }

function parse(json: unknown, contentType?: string): ManifestFacts {
  return parseManifest(Buffer.from(JSON.stringify(json)), contentType)
}

describe('the media type of a manifest', () => {
  it.each([OCI_IMAGE, DOCKER_IMAGE, OCI_ARTIFACT])('is %s as the header says', (type) => {
    expect(parse(image, type).mediaType).toBe(type)
    expect(parse({ ...image, mediaType: type }, type).mediaType).toBe(type)
  })

  it.each([OCI_INDEX, DOCKER_LIST])('is %s as the header says', (type) => {
    expect(parse(index, type).mediaType).toBe(type)
    expect(parse({ ...index, mediaType: type }, type).mediaType).toBe(type)
  })

  it('loses its parameters', () => {
    expect(parse(image, `${OCI_IMAGE}; charset=utf-8`).mediaType).toBe(OCI_IMAGE)
    expect(parse(image, ' Application/VND.oci.image.manifest.v1+JSON ;q=1').mediaType).toBe(
      OCI_IMAGE,
    )
  })

  it.each([undefined, '', 'text/plain', 'application/json', 'application/octet-stream', SCHEMA_1])(
    'E-23: comes from the field, or else from the structure, where the header is %s',
    (header) => {
      expect(parse({ ...image, mediaType: DOCKER_IMAGE }, header).mediaType).toBe(DOCKER_IMAGE)
      expect(parse({ ...index, mediaType: DOCKER_LIST }, header).mediaType).toBe(DOCKER_LIST)
      expect(parse(image, header).mediaType).toBe(OCI_IMAGE)
      expect(parse(index, header).mediaType).toBe(OCI_INDEX)
      expect(parse({ ...image, mediaType: 'text/html' }, header).mediaType).toBe(OCI_IMAGE)
      expect(parse({ ...image, mediaType: 7 }, header).mediaType).toBe(OCI_IMAGE)
    },
  )

  it('E-23: may not contradict the field, where both are those of a manifest', () => {
    const types = fc.constantFrom(OCI_IMAGE, DOCKER_IMAGE, OCI_ARTIFACT, OCI_INDEX, DOCKER_LIST)
    fc.assert(
      fc.property(types, types, (header, field) => {
        const content = [OCI_INDEX, DOCKER_LIST].includes(field) ? index : image
        const run = () => parse({ ...content, mediaType: field }, header)

        expect(refusal(run)).toBe(header === field ? undefined : 'MANIFEST_INVALID')
      }),
    )
  })

  it.each([
    ['an index type on an image', image, OCI_INDEX],
    ['a list type on an image', image, DOCKER_LIST],
    ['an image type on an index', index, OCI_IMAGE],
    ['an artifact type on an index', index, OCI_ARTIFACT],
    ['neither layers nor manifests', { schemaVersion: 2 }, undefined],
    ['layers without a config', { layers: [] }, undefined],
    ['a config that is no object', { layers: [], config: 'sha256:' }, undefined],
    ['layers that are no list', { layers: {}, config }, undefined],
    ['manifests that are no list', { manifests: {} }, undefined],
    ['an error page in JSON', { errors: [{ code: 'UNKNOWN' }] }, 'application/json'],
  ])('E-23: cannot be found for %s', (_, json, header) => {
    expect(refusal(() => parse(json, header))).toBe('MANIFEST_INVALID')
  })

  it('E-23: CVE-2021-41190: refuses what is an index and an image at the same time', () => {
    const both = [
      { ...index, layers: [layer] },
      { ...index, config },
      { ...index, ...image },
      { manifests: [], layers: [] },
      { manifests: null, config: null },
    ]
    for (const json of both) {
      for (const header of [OCI_IMAGE, OCI_INDEX, DOCKER_IMAGE, DOCKER_LIST, undefined]) {
        expect(refusal(() => parse(json, header))).toBe('MANIFEST_INVALID')
      }
    }
  })

  it.each(['Layers', 'CONFIG', 'mediatype', 'Manifests', 'layer\u017f', 'SchemaVersion'])(
    'refuses the key %s, which Go clients take for another one',
    (key) => {
      expect(refusal(() => parse({ ...image, [key]: [] }, OCI_IMAGE))).toBe('MANIFEST_INVALID')
    },
  )

  it('takes keys that nobody knows', () => {
    expect(parse({ ...image, Foo: 1, artifacttype: 'x' }, OCI_IMAGE).mediaType).toBe(OCI_IMAGE)
  })

  it('tells who pushed schema 1 what to do', () => {
    const old = { schemaVersion: 1, name: 'app', fsLayers: [], history: [], signatures: [] }

    for (const header of [SCHEMA_1, 'application/json', OCI_IMAGE, undefined]) {
      expect(refusal(() => parse(old, header))).toBe('MANIFEST_UNKNOWN')
    }
  })
})

describe('the children of a manifest', () => {
  it('are its config and its layers, in order', () => {
    const { children, subject } = parse({ ...image, layers: [layer, child] }, OCI_IMAGE)

    expect(children).toEqual([
      { ...config, isManifest: false },
      { ...layer, isManifest: false },
      { ...child, isManifest: false },
    ])
    expect(subject).toBeUndefined()
  })

  it('are the manifests of an index', () => {
    expect(parse(index).children).toEqual([{ ...child, isManifest: true }])
  })

  it('are the blobs of an artifact', () => {
    const artifact = { mediaType: OCI_ARTIFACT, blobs: [layer], subject: child }

    expect(parse(artifact)).toEqual({
      mediaType: OCI_ARTIFACT,
      children: [{ ...layer, isManifest: false }],
      subject: { ...child, isManifest: true },
    })
  })

  it('do not include the subject, which stands by itself', () => {
    const { children, subject } = parse({ ...image, subject: child }, OCI_IMAGE)

    expect(subject).toEqual({ ...child, isManifest: true })
    expect(children.map(({ digest }) => digest)).not.toContain(child.digest)
  })

  it.each([0, 1, Number.MAX_SAFE_INTEGER])('have the size %d that the manifest says', (size) => {
    expect(parse({ manifests: [{ ...child, size }] }).children[0]?.size).toBe(size)
  })

  it.each([-1, 1.5, Number.MAX_SAFE_INTEGER + 1, '5', null, undefined, true])(
    'have no size where it says %s',
    (size) => {
      expect(parse({ manifests: [{ ...child, size }] }).children[0]?.size).toBeUndefined()
    },
  )

  it('have a media type of their own, or that of any bytes', () => {
    const { children } = parse({ manifests: [child, { ...child, mediaType: 5 }] })

    expect(children.map(({ mediaType }) => mediaType)).toEqual([
      OCI_IMAGE,
      'application/octet-stream',
    ])
  })

  it('leave out what can never be served', () => {
    const unusable = [
      null,
      'sha256:',
      [],
      {},
      { ...child, digest: `md5:${'0'.repeat(32)}` },
      { ...child, digest: `sha256:${'A'.repeat(64)}` },
      { ...child, digest: '../../etc/passwd' },
    ]

    expect(parse({ manifests: [...unusable, child] }).children).toHaveLength(1)
    expect(descriptorsOf([...unusable, child], true)).toEqual([{ ...child, isManifest: true }])
    expect(parse({ ...image, subject: unusable[4] }).subject).toBeUndefined()
  })

  it('are those that the manifest was made of, for any image', () => {
    const descriptors = fc.record({
      digest: digests,
      size: fc.maxSafeNat(),
      mediaType: fc.constantFrom(LAYER_TYPE, OCI_IMAGE, 'application/x-anything'),
    })
    fc.assert(
      fc.property(descriptors, fc.array(descriptors), (ofConfig, layers) => {
        const { children } = parse({ schemaVersion: 2, config: ofConfig, layers })

        expect(children).toEqual(
          [ofConfig, ...layers].map((descriptor) => ({ ...descriptor, isManifest: false })),
        )
      }),
    )
  })

  it('are ten thousand at most', () => {
    const manifests = Array.from({ length: 10_000 }, () => child)

    expect(parse({ manifests }).children).toHaveLength(10_000)
    expect(refusal(() => parse({ manifests: [...manifests, child] }))).toBe('MANIFEST_INVALID')
  })
})

describe('what is no manifest', () => {
  const nested = (levels: number) =>
    Buffer.from(`{"manifests":[],"a":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`)

  it('is nested deeper than 32 levels', () => {
    expect(parseManifest(nested(32), undefined).mediaType).toBe(OCI_INDEX)
    expect(refusal(() => parseManifest(nested(33), undefined))).toBe('MANIFEST_INVALID')
  })

  it('is nested so deeply that it would exhaust the stack', () => {
    const levels = MANIFEST_MAX_BYTES / 2

    expect(refusal(() => parseManifest(nested(levels), undefined))).toBe('MANIFEST_INVALID')
  })

  it.each(['', '{', 'null', '[]', '"text"', '7', '<html></html>', '{"a":1}{"b":2}', '{"a":1,}'])(
    'is %j',
    (text) => {
      expect(refusal(() => parseManifest(Buffer.from(text), OCI_IMAGE))).toBe('MANIFEST_INVALID')
    },
  )

  it('is JSON that is not UTF-8', () => {
    const bytes = Buffer.from(JSON.stringify({ ...image, annotations: { author: 'é' } }), 'latin1')

    expect(refusal(() => parseManifest(bytes, OCI_IMAGE))).toBe('MANIFEST_INVALID')
  })

  it('throws nothing but OciError for any bytes', () => {
    const headers = fc.option(fc.oneof(fc.string(), fc.constantFrom(OCI_IMAGE, OCI_INDEX)), {
      nil: undefined,
    })
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), headers, (bytes, header) => {
        expect(['MANIFEST_INVALID', undefined]).toContain(
          refusal(() => parseManifest(bytes, header)),
        )
      }),
    )
  })

  it('throws nothing but OciError for any JSON in the form of a manifest', () => {
    const value = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom(null, [], {}, [child], [{ digest: 7 }], config, 'sha256:', 1, 2),
    )
    const keys = fc.constantFrom(...MANIFEST_KEYS, ...KEYS_OF_EVERY_OBJECT)
    const shapes = fc.dictionary(keys, value, { noNullPrototype: false })
    const headers = fc.constantFrom(undefined, OCI_IMAGE, OCI_INDEX, DOCKER_LIST, 'text/plain')
    fc.assert(
      fc.property(shapes, headers, (json, header) => {
        const code = refusal(() => {
          const facts = parse(json, header)
          expect(isManifestType(facts.mediaType)).toBe(true)
          expect('layers' in json && 'manifests' in json).toBe(false)
        })

        expect([undefined, 'MANIFEST_INVALID', 'MANIFEST_UNKNOWN']).toContain(code)
      }),
      { numRuns: 1000 },
    )
  })
})

describe('the words around manifests', () => {
  it('E-8: asks for every type, so that a tag means the same whoever asks', () => {
    expect(MANIFEST_ACCEPT.split(', ').toSorted()).toEqual(
      [OCI_IMAGE, OCI_INDEX, OCI_ARTIFACT, DOCKER_IMAGE, DOCKER_LIST].toSorted(),
    )
  })

  it('E-24: reads as much as the strictest client does', () => {
    expect(MANIFEST_MAX_BYTES).toBe(4 * 1024 * 1024)
  })

  it.each([
    [undefined, undefined],
    ['', undefined],
    [' ; charset=utf-8', undefined],
    ['Text/Plain; charset=utf-8', 'text/plain'],
    [`${OCI_IMAGE};q=0.5`, OCI_IMAGE],
  ])('strips %j to %j', (header, bare) => {
    expect(bareMediaType(header)).toBe(bare)
  })

  it('knows what is a manifest', () => {
    expect(isManifestType(undefined)).toBe(false)
    expect(isManifestType('application/json')).toBe(false)
    expect(isManifestType(SCHEMA_1)).toBe(false)
  })

  it('makes an index that is read as one', () => {
    expect(parse(emptyIndex())).toEqual({ mediaType: OCI_INDEX, children: [], subject: undefined })
    expect(parse(emptyIndex([child]), OCI_INDEX).children).toHaveLength(1)
  })
})
