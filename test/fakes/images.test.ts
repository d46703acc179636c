import { describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { parseManifest } from '../../src/oci/manifest.ts'
import {
  AMD64,
  ARM64,
  buildArtifact,
  buildImage,
  buildIndex,
  buildMultiPlatform,
  buildReferrersIndex,
  EMPTY_JSON,
  type FakeImage,
  randomBlob,
} from './images.ts'

describe('fake images', () => {
  it('are the same for the same seed and others for another', () => {
    expect(buildImage({ seed: 'a' }).digest).toBe(buildImage({ seed: 'a' }).digest)
    expect(buildImage({ seed: 'a' }).digest).not.toBe(buildImage({ seed: 'b' }).digest)
    expect(digestOf(randomBlob(1000, 'a'))).not.toBe(digestOf(randomBlob(1000, 'b')))
  })

  it('have layers of the sizes asked for, nothing and two bytes too', () => {
    const image = buildImage({ seed: 'sizes', layers: [0, 2, 70_000] })
    expect(image.blobs.slice(1).map(({ bytes }) => bytes.length)).toEqual([0, 2, 70_000])
    expect(image.blobs[1]?.digest).toBe(
      'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    )
    expect(EMPTY_JSON.digest).toBe(
      'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
    )
  })

  it.each<[string, FakeImage, string]>([
    ['OCI image', buildImage({ seed: 's' }), 'application/vnd.oci.image.manifest.v1+json'],
    [
      'docker image',
      buildImage({ seed: 's', format: 'docker' }),
      'application/vnd.docker.distribution.manifest.v2+json',
    ],
    ['OCI index', buildMultiPlatform('s'), 'application/vnd.oci.image.index.v1+json'],
    [
      'docker list',
      buildIndex({ children: [], format: 'docker' }),
      'application/vnd.docker.distribution.manifest.list.v2+json',
    ],
    [
      'artifact',
      buildArtifact({ seed: 's', subject: buildImage({ seed: 's' }) }),
      'application/vnd.oci.image.manifest.v1+json',
    ],
  ])('of kind %s are manifests that refer to what they carry', (_kind, image, mediaType) => {
    expect(image.mediaType).toBe(mediaType)
    expect(image.digest).toBe(digestOf(image.bytes))
    const carried = [...image.manifests, ...image.blobs]
    for (const manifest of image.manifests) {
      const facts = parseManifest(manifest.bytes, manifest.mediaType)
      for (const child of facts.children) {
        const found = carried.find(({ digest }) => digest === child.digest)
        expect(found?.bytes.length).toBe(child.size)
      }
    }
  })

  it('nest: an index of indexes carries all manifests and blobs', () => {
    const inner = buildMultiPlatform('inner', [10])
    const single = buildImage({ seed: 'single', layers: [20], platform: ARM64 })
    const outer = buildIndex({ children: [{ image: inner }, { image: single, platform: AMD64 }] })
    expect(outer.manifests).toHaveLength(1 + 3 + 1)
    expect(outer.blobs).toHaveLength(2 * 2 + 2)
  })

  it('name their subject, and are listed with their artifact type', () => {
    const subject = buildImage({ seed: 'signed' })
    const artifact = buildArtifact({ seed: 'sbom', subject, artifactType: 'application/x-sbom' })
    expect(parseManifest(artifact.bytes, undefined).subject?.digest).toBe(subject.digest)
    const index = JSON.parse(Buffer.from(buildReferrersIndex([artifact]).bytes).toString()) as {
      manifests: unknown[]
    }
    expect(index.manifests).toMatchObject([
      { digest: artifact.digest, artifactType: 'application/x-sbom' },
    ])
  })

  it('can be named by sha512', () => {
    const image = buildImage({ seed: 'long', algorithm: 'sha512' })
    expect(image.digest).toBe(digestOf(image.bytes, 'sha512'))
    expect(image.blobs.every(({ digest }) => digest.startsWith('sha512:'))).toBe(true)
  })

  it('need no time for 64 MiB', () => {
    expect(randomBlob(64 * 1024 * 1024, 'large')).toHaveLength(64 * 1024 * 1024)
  })
})
