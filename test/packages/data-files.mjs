/**
 * Reads the data files of deploy/, fails where they name what there is not, and writes the parts that others read.
 *
 *   node data-files.mjs SOURCE FOLDER
 */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { parseDocument } from 'yaml'

const [source, folder] = process.argv.slice(2)
const deploy = join(source, 'deploy')
mkdirSync(folder, { recursive: true })
checkCloudInit()
checkCompose()
checkTraefik()

function parse(...path) {
  const document = parseDocument(readFileSync(join(deploy, ...path), 'utf8'))
  assert.deepEqual(document.errors, [], path.join('/'))
  return document.toJS()
}

function checkCloudInit() {
  for (const name of ['mirror', 'node']) {
    const text = readFileSync(join(deploy, 'cloud-init', `${name}.yaml`), 'utf8')
    assert.match(text, /^#cloud-config\n/, 'cloud-init knows it by its first line')
    const {
      packages,
      write_files: files = [],
      runcmd,
      ...others
    } = parse('cloud-init', `${name}.yaml`)
    assert.deepEqual(others, {}, 'keys that nobody looks at here')
    assert.ok(packages.every((it) => typeof it === 'string'))
    for (const { path, permissions, content } of files) {
      assert.match(path, /^\//)
      assert.match(permissions, /^0[0-7]{3}$/)
      writeFileSync(join(folder, basename(path)), content)
    }
    // What is a text is given to sh.
    writeFileSync(join(folder, `${name}.sh`), `${runcmd.join('\n')}\n`)
  }
  const container = readFileSync(join(folder, 'entrepot.container'), 'utf8')
  for (const section of ['Unit', 'Container', 'Service', 'Install'])
    assert.ok(container.includes(`[${section}]`))
}

function checkCompose() {
  const { services, volumes } = parse('compose', 'compose.yml')
  const { entrepot } = services
  assert.ok(existsSync(resolve(deploy, 'compose', entrepot.build, 'Dockerfile')))
  for (const { type, source: from } of entrepot.volumes)
    if (type === 'volume') assert.ok(from in volumes)
  assert.deepEqual([entrepot.read_only, entrepot.cap_drop], [true, ['ALL']])
  const overlay = readFileSync(join(deploy, 'compose', 'compose.traefik.yml'), 'utf8')
  const traefik = parseDocument(overlay, { customTags: [{ tag: '!reset', collection: 'seq' }] })
  assert.deepEqual(traefik.errors, [])
  const added = traefik.toJS().services
  assert.deepEqual(
    Object.keys(added).filter((it) => !(it in services)),
    ['traefik'],
  )
  const [dynamic] = added.traefik.volumes
  assert.ok(existsSync(resolve(deploy, 'compose', dynamic.source, 'dynamic.yml')))
}

/** What a router names is there, and the entry point is that of the Compose file. */
function checkTraefik() {
  const { http, tls } = parse('traefik', 'dynamic.yml')
  for (const { service, entryPoints, middlewares = [] } of Object.values(http.routers)) {
    assert.ok(service in http.services)
    assert.deepEqual(entryPoints, ['websecure'])
    assert.deepEqual(middlewares, [], 'nothing may touch what goes through')
  }
  for (const { loadBalancer } of Object.values(http.services)) {
    assert.ok(loadBalancer.serversTransport in http.serversTransports)
    assert.equal(loadBalancer.healthCheck.path, '/readyz')
    assert.equal(loadBalancer.passHostHeader, true)
  }
  const { idleConnTimeout } = http.serversTransports.entrepot.forwardingTimeouts
  assert.ok(Number.parseInt(idleConnTimeout, 10) < 65, 'Traefik closes first')
  assert.ok(tls.certificates[0].certFile.startsWith('/etc/traefik/tls/'))
}
