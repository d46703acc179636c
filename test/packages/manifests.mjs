/**
 * Reads manifests of Kubernetes and fails unless they fit together, and fit the image.
 *
 *   node manifests.mjs FILE FOLDER
 *
 * Says on one line which kinds there are. FOLDER gets `mirrors.yml` as the pod would have it, and
 * `monitors.yaml` with the ServiceMonitors, which no schema of Kubernetes knows.
 */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseAllDocuments, stringify } from 'yaml'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const [file, folder] = process.argv.slice(2)
const documents = parseAllDocuments(readFileSync(file, 'utf8'))
for (const { errors } of documents) assert.deepEqual(errors, [])
const manifests = documents.map((it) => it.toJS()).filter((it) => it !== null)
const ofKind = (...kinds) => manifests.filter(({ kind }) => kinds.includes(kind))

const [workload, ...others] = ofKind('Deployment', 'StatefulSet')
assert.deepEqual(others, [], 'one workload')
const pod = workload.spec.template
const [container] = pod.spec.containers
const claims = workload.spec.volumeClaimTemplates ?? []
const holder = ofKind('ConfigMap', 'Secret').find(({ data, stringData }) => data ?? stringData)
const mirrors = (holder.data ?? holder.stringData)['mirrors.yml']

checkNames()
checkPod()
checkVolumes()
checkServices()
checkProbes()
checkIngress()
writeFileSync(join(folder, 'mirrors.yml'), mirrors)
writeFileSync(
  join(folder, 'monitors.yaml'),
  ofKind('ServiceMonitor')
    .map((it) => stringify(it))
    .join('---\n'),
)
const kinds = manifests.map(({ kind }) => kind).toSorted((a, b) => a.localeCompare(b))
process.stdout.write(`${kinds.join(' ')}\n`)

function checkNames() {
  const names = manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`)
  assert.equal(new Set(names).size, names.length, 'no name is there twice')
  for (const { metadata } of manifests)
    assert.match(metadata.name, /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/)
}

/** As Dockerfile has it. */
function checkPod() {
  const [, user, group] = /^USER (\d+):(\d+)$/m.exec(readFileSync(join(ROOT, 'Dockerfile'), 'utf8'))
  const { securityContext, automountServiceAccountToken, terminationGracePeriodSeconds } = pod.spec
  assert.equal(securityContext.runAsNonRoot, true)
  assert.deepEqual(
    [securityContext.runAsUser, securityContext.runAsGroup, securityContext.fsGroup].map(String),
    [user, group, group],
  )
  assert.equal(securityContext.seccompProfile.type, 'RuntimeDefault')
  assert.equal(automountServiceAccountToken, false)
  assert.ok(terminationGracePeriodSeconds > 30, 'running transfers may end')
  assert.deepEqual(container.securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  })
  assert.equal(container.args[0], 'serve')
  const given = container.args.slice(1).flatMap((it) => it.split('='))
  assert.deepEqual(given, [
    '--config',
    '/etc/entrepot/mirrors.yml',
    '--listen',
    '0.0.0.0:5000',
    '--data',
    '/data',
  ])
  if (workload.kind === 'Deployment' && usesClaim()) {
    assert.equal(workload.spec.strategy.type, 'Recreate', 'one process has the data folder')
  }
}

function usesClaim() {
  return pod.spec.volumes.some(({ persistentVolumeClaim }) => persistentVolumeClaim)
}

function checkVolumes() {
  const volumes = [
    ...pod.spec.volumes.map(({ name }) => name),
    ...claims.map(({ metadata }) => metadata.name),
  ]
  assert.equal(new Set(volumes).size, volumes.length)
  for (const { name } of container.volumeMounts) assert.ok(volumes.includes(name), `volume ${name}`)
  const paths = container.volumeMounts.map(({ mountPath }) => mountPath)
  assert.ok(paths.includes('/data') && paths.includes('/etc/entrepot'))
  // The root filesystem is read-only, so nothing can be mounted into what a volume shows read-only.
  for (const path of paths) assert.ok(!paths.some((it) => path.startsWith(`${it}/`)), path)
  const config = pod.spec.volumes.find(({ name }) => name === 'config')
  assert.equal(config.configMap?.name ?? config.secret.secretName, holder.metadata.name)
  for (const { persistentVolumeClaim } of pod.spec.volumes) {
    if (!persistentVolumeClaim) continue
    const claim = ofKind('PersistentVolumeClaim').find(
      ({ metadata }) => metadata.name === persistentVolumeClaim.claimName,
    )
    assert.ok(claim, 'the claim is made')
  }
  for (const path of mirrors.match(/\/run\/entrepot\/[^/\s]+/g) ?? [])
    assert.ok(paths.includes(path), path)
}

/** Whatever selects pods selects these. */
function checkServices() {
  const labels = pod.metadata.labels
  const selectors = [
    workload.spec.selector.matchLabels,
    ...ofKind('Service').map(({ spec }) => spec.selector),
    ...ofKind('PodDisruptionBudget').map(({ spec }) => spec.selector.matchLabels),
    ...ofKind('NetworkPolicy').map(({ spec }) => spec.podSelector.matchLabels),
  ]
  for (const selector of selectors) {
    assert.ok(Object.keys(selector).length > 0)
    for (const [key, value] of Object.entries(selector)) assert.equal(labels[key], value, key)
    assert.ok(!('helm.sh/chart' in selector), 'what changes with an upgrade selects nothing')
  }
  const ports = container.ports.map(({ name }) => name)
  for (const { spec } of ofKind('Service'))
    for (const { targetPort } of spec.ports) assert.ok(ports.includes(targetPort))
  for (const { spec } of ofKind('NetworkPolicy'))
    assert.ok(ports.includes(spec.ingress[0].ports[0].port))
  if (workload.kind === 'StatefulSet') {
    const own = ofKind('Service').find(
      ({ metadata }) => metadata.name === workload.spec.serviceName,
    )
    assert.equal(own.spec.clusterIP, 'None')
  }
  for (const { spec } of ofKind('ServiceMonitor')) {
    const isScraped = ({ metadata }) =>
      Object.entries(spec.selector.matchLabels).every(
        ([key, value]) => metadata.labels[key] === value,
      ) &&
      spec.selector.matchExpressions.every(
        ({ key, operator }) => operator === 'DoesNotExist' && !(key in metadata.labels),
      )
    assert.equal(ofKind('Service').filter(isScraped).length, 1, 'each pod is scraped once')
    assert.deepEqual(
      spec.endpoints.map(({ port, path }) => [port, path]),
      [['registry', '/metrics']],
    )
  }
}

function checkProbes() {
  const { startupProbe, livenessProbe, readinessProbe } = container
  const paths = [startupProbe, livenessProbe, readinessProbe].map(({ httpGet }) => httpGet.path)
  assert.deepEqual(paths, ['/healthz', '/healthz', '/readyz'])
  const speaks = /^tls:/m.test(mirrors) ? 'HTTPS' : 'HTTP'
  for (const { httpGet } of [startupProbe, livenessProbe, readinessProbe]) {
    assert.deepEqual([httpGet.port, httpGet.scheme ?? 'HTTP'], ['registry', speaks])
  }
}

function checkIngress() {
  for (const { spec } of ofKind('Ingress')) {
    for (const { http } of spec.rules) {
      const [{ path, pathType, backend }] = http.paths
      assert.deepEqual([path, pathType], ['/', 'Prefix'])
      const service = ofKind('Service').find(
        ({ metadata }) => metadata.name === backend.service.name,
      )
      // The example beside the plain manifest has its service in the other file.
      if (service)
        assert.ok(service.spec.ports.some(({ name }) => name === backend.service.port.name))
    }
  }
}
