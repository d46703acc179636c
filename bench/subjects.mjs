// @ts-check
/**
 * The servers that are compared, each with a fresh folder. All of them write one line for each request
 * to a file, as they would in earnest.
 */
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { layOutAsStorage } from './image.mjs'
import { nginxCache, nginxStatic } from './nginx.mjs'
import { CORES, isInstalled, runTool, startServer } from './processes.mjs'

/**
 * @typedef {object} Kind
 * @property {string} label
 * @property {string} color of its bars
 * @property {(setting: Pick<Setting, 'build' | 'before'>) => boolean} isAvailable
 * @property {(folder: string, port: number, setting: Setting) => Promise<string[]>} command
 *
 * @typedef {object} Setting
 * @property {string} build folder of the built mirror
 * @property {string | undefined} before folder of another build
 * @property {string} originUrl
 * @property {import('./image.mjs').Image} image
 * @property {Variation} variation
 *
 * @typedef {object} Variation of how a server is started
 * @property {readonly string[]} [nodeOptions] for one that runs on Node
 * @property {Readonly<Record<string, unknown>>} [config] keys for the mirror's configuration
 * @property {Readonly<Record<string, unknown>>} [upstream] keys for its upstream
 * @property {Certificate} [tls]
 * @property {string} [core]
 *
 * @typedef {{ certificate: string, key: string }} Certificate files
 */

/** @type {Readonly<Record<string, Kind>>} */
export const SUBJECTS = {
  entrepot: {
    label: 'entrepot',
    color: '#1a7f5a',
    isAvailable: ({ build }) => existsSync(join(build, 'main.js')),
    command: (folder, port, setting) => entrepot(folder, port, setting, setting.build),
  },
  'entrepot-portable': {
    label: 'entrepot, sendfile: false',
    color: '#6cb89a',
    isAvailable: ({ build }) => existsSync(join(build, 'main.js')),
    command: (folder, port, setting) => entrepot(folder, port, portable(setting), setting.build),
  },
  before: {
    label: 'entrepot, before',
    color: '#a8c9ba',
    isAvailable: ({ before }) => before !== undefined && existsSync(join(before, 'main.js')),
    command: (folder, port, setting) => entrepot(folder, port, setting, setting.before ?? ''),
  },
  distribution: {
    label: 'distribution, proxy',
    color: '#3b6fb5',
    isAvailable: () => isInstalled('docker-registry'),
    command: (folder, port, setting) =>
      distribution(folder, port, setting, { proxy: { remoteurl: setting.originUrl } }),
  },
  'distribution-plain': {
    label: 'distribution, plain',
    color: '#8aa9d6',
    isAvailable: () => isInstalled('docker-registry'),
    async command(folder, port, setting) {
      await layOutAsStorage(setting.image, join(folder, 'data'))
      return distribution(folder, port, setting, {})
    },
  },
  'nginx-cache': {
    label: 'nginx, proxy_cache',
    color: '#c4651a',
    isAvailable: () => isInstalled('nginx'),
    command: (folder, port, { originUrl, variation }) =>
      nginxCache(folder, { port, originUrl, tls: variation.tls }),
  },
  'nginx-static': {
    label: 'nginx, static files',
    color: '#e0a473',
    isAvailable: () => isInstalled('nginx'),
    command: (folder, port, { image, variation }) =>
      nginxStatic(folder, { port, root: image.folder, tls: variation.tls }),
  },
}

/**
 * @param {string} name
 * @param {string} temp folder in which it gets one of its own
 * @param {Setting} setting
 * @returns {Promise<import('./processes.mjs').Server & { folder: string }>}
 */
export async function startSubject(name, temp, setting) {
  const kind = SUBJECTS[name]
  if (kind === undefined) throw new Error(`There is no subject ${name}.`)
  const { tls, core = CORES.server } = setting.variation
  const folder = await mkdtemp(join(temp, `${name}-`))
  const command = (/** @type {number} */ port) => kind.command(folder, port, setting)
  const scheme = tls ? 'https' : 'http'
  const server = await startServer({ name, folder, core, command, path: '/v2/', scheme })
  return {
    ...server,
    folder,
    async stop() {
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/**
 * A certificate that signs itself, for this run.
 * @param {string} folder
 * @returns {Certificate}
 */
export function makeCertificate(folder) {
  const files = { certificate: join(folder, 'bench.crt'), key: join(folder, 'bench.key') }
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1']
  const name = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1']
  const to = ['-keyout', files.key, '-out', files.certificate]
  runTool('openssl', ['req', '-x509', ...kind, ...name, ...to])
  return files
}

/**
 * @param {string} folder
 * @param {number} port
 * @param {Setting} setting
 * @param {string} build
 */
async function entrepot(folder, port, { originUrl, variation }, build) {
  const config = {
    listen: `127.0.0.1:${port}`,
    data: join(folder, 'data'),
    defaultUpstream: 'bench.test',
    upstreams: {
      'bench.test': {
        endpoints: [originUrl],
        insecure: true,
        networks: ['127.0.0.0/8'],
        ...variation.upstream,
      },
    },
    allow: ['bench.test/bench/*'],
    // Only what the clients ask for is measured, as the others fetch nothing else either.
    complete: 'off',
    ...(variation.tls && { tls: [variation.tls] }),
    ...variation.config,
  }
  const file = await writeSettings(folder, 'mirrors.yml', config)
  const { nodeOptions = [] } = variation
  return [process.execPath, ...nodeOptions, join(build, 'main.js'), 'serve', '--config', file]
}

/**
 * @param {Setting} setting
 * @returns {Setting}
 */
function portable({ variation, ...setting }) {
  return {
    ...setting,
    variation: { ...variation, config: { ...variation.config, sendfile: false } },
  }
}

/**
 * @param {string} folder
 * @param {number} port
 * @param {Setting} setting
 * @param {Readonly<Record<string, unknown>>} mode
 */
async function distribution(folder, port, { variation: { tls } }, mode) {
  const config = {
    version: 0.1,
    log: { level: 'warn' },
    storage: {
      cache: { blobdescriptor: 'inmemory' },
      filesystem: { rootdirectory: join(folder, 'data') },
    },
    http: { addr: `127.0.0.1:${port}`, secret: 'bench', ...(tls && { tls }) },
    ...mode,
  }
  return ['docker-registry', 'serve', await writeSettings(folder, 'config.yml', config)]
}

/**
 * @param {string} folder
 * @param {string} name
 * @param {unknown} settings which YAML takes as JSON
 */
async function writeSettings(folder, name, settings) {
  const file = join(folder, name)
  await writeFile(file, JSON.stringify(settings))
  return file
}
