/** Images as registries really hold them, beyond one manifest with tar layers. */
import { digestOf } from '../../src/oci/digest.ts'
import {
  AMD64,
  ARM64,
  buildArtifact,
  buildImage,
  buildIndex,
  type FakeImage,
  type FakeManifest,
  randomBlob,
} from '../fakes/images.ts'

const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'

const PLATFORMS = [
  AMD64,
  ARM64,
  { os: 'linux', architecture: 's390x' },
  { os: 'windows', architecture: 'amd64' },
]

export function multiPlatform(): FakeImage {
  return buildIndex({
    children: PLATFORMS.map((platform) => ({
      platform,
      image: buildImage({ seed: `${platform.os}/${platform.architecture}`, platform }),
    })),
  })
}

export function dockerList(): FakeImage {
  const children = PLATFORMS.map((platform) => ({
    platform,
    image: buildImage({ seed: platform.architecture, platform, format: 'docker' }),
  }))
  return buildIndex({ children, format: 'docker' })
}

/** As BuildKit pushes it: beside each image what it was made of, for a platform that nobody has. */
export function withAttestation(): FakeImage {
  const image = buildImage({ seed: 'attested' })
  const attestation = buildArtifact({ seed: 'provenance', subject: image })
  const nobody = { os: 'unknown', architecture: 'unknown' }
  return buildIndex({
    children: [
      { image, platform: AMD64 },
      { image: attestation, platform: nobody },
    ],
  })
}

export function layersOfEveryType(): FakeImage {
  const layers = [
    'application/vnd.oci.image.layer.v1.tar',
    'application/vnd.oci.image.layer.v1.tar+gzip',
    'application/vnd.oci.image.layer.v1.tar+zstd',
    'application/vnd.oci.image.layer.nondistributable.v1.tar',
    'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
    'application/vnd.cncf.helm.chart.content.v1.tar+gzip',
    'application/wasm',
    'x-nobody/knows',
  ].map((mediaType) => {
    const bytes = randomBlob(500, mediaType)
    return { mediaType, digest: digestOf(bytes), bytes }
  })
  const [config] = buildImage({ seed: 'every type' }).blobs
  if (config === undefined) throw new Error('An image has a config.')
  const manifest = manifestOf(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: descriptorOf({ ...config, mediaType: 'application/vnd.example.config' }),
      // Where the bytes could be had without the registry: not a matter of a mirror.
      layers: layers.map((layer) => ({ ...descriptorOf(layer), urls: ['https://x.example/'] })),
    }),
    OCI_MANIFEST,
  )
  return { ...manifest, manifests: [manifest], blobs: [config, ...layers] }
}

export function manifestOf(text: string, mediaType: string): FakeManifest {
  const bytes = new TextEncoder().encode(text)
  return { digest: digestOf(bytes), bytes, mediaType }
}

function descriptorOf({ mediaType, digest, bytes }: FakeManifest): Record<string, unknown> {
  return { mediaType, digest, size: bytes.length }
}
