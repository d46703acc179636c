// @ts-check
/**
 * The servers that are compared, each with a fresh folder. All of them write one line for each request
 * to a file, as they would in earnest.
 */
import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CORES, isInstalled, startServer } from './processes.mjs'

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url))

/**
 * @typedef {object} Kind
 * @property {string} label
 * @property {() => boolean} isAvailable
 * @property {(folder: string, port: number, setting: Setting) => Promise<string[]>} command
 *
 * @typedef {object} Setting
 * @property {string} originUrl
 * @property {string} imageFolder
 * @property {readonly string[]} nodeOptions
 */

/** @type {Readonly<Record<string, Kind>>} */
export const SUBJECTS = {
  entrepot: {
    label: 'entrepot',
    isAvailable: () => existsSync(MAIN),
    command: entrepot,
  },
  distribution: {
    label: 'distribution, proxy',
    isAvailable: () => isInstalled('docker-registry'),
    command: distribution,
  },
  nginx: {
    label: 'nginx, static files',
    isAvailable: () => isInstalled('nginx'),
    command: nginx,
  },
}

/**
 * @param {string} name
 * @param {string} temp folder in which it gets one of its own
 * @param {Setting} setting
 * @returns {Promise<import('./processes.mjs').Server>}
 */
export async function startSubject(name, temp, setting) {
  const kind = SUBJECTS[name]
  if (kind === undefined) throw new Error(`There is no subject ${name}.`)
  const folder = join(temp, name)
  await mkdir(folder, { recursive: true })
  const command = (/** @type {number} */ port) => kind.command(folder, port, setting)
  const server = await startServer({ name, folder, core: CORES.server, command, path: '/v2/' })
  return {
    ...server,
    async stop() {
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** @type {Kind['command']} */
async function entrepot(folder, port, { originUrl, nodeOptions }) {
  const config = {
    listen: `127.0.0.1:${port}`,
    data: join(folder, 'data'),
    defaultUpstream: 'bench.test',
    upstreams: {
      'bench.test': { endpoints: [originUrl], insecure: true, networks: ['127.0.0.0/8'] },
    },
    allow: ['bench.test/bench/*'],
    // Only what the clients ask for is measured, as the others fetch nothing else either.
    complete: 'off',
  }
  const file = await writeSettings(folder, 'mirrors.yml', JSON.stringify(config))
  return [process.execPath, ...nodeOptions, MAIN, 'serve', '--config', file]
}

/** @type {Kind['command']} */
async function distribution(folder, port, { originUrl }) {
  const config = {
    version: 0.1,
    log: { level: 'warn' },
    storage: {
      cache: { blobdescriptor: 'inmemory' },
      filesystem: { rootdirectory: join(folder, 'data') },
    },
    http: { addr: `127.0.0.1:${port}`, secret: 'bench' },
    proxy: { remoteurl: originUrl },
  }
  const file = await writeSettings(folder, 'config.yml', JSON.stringify(config))
  return ['docker-registry', 'serve', file]
}

/**
 * No mirror: what a file server in C reaches with the same files is the limit for everybody.
 * @type {Kind['command']}
 */
async function nginx(folder, port, { imageFolder }) {
  const file = await writeSettings(
    folder,
    'nginx.conf',
    `daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events { worker_connections 1024; }
http {
  access_log ${folder}/access.log;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  open_file_cache max=1000;
  default_type application/octet-stream;
  server {
    listen 127.0.0.1:${port};
    root ${imageFolder};
    location = /v2/ { return 200; }
  }
}
`,
  )
  return ['nginx', '-p', folder, '-c', file]
}

/**
 * @param {string} folder
 * @param {string} name
 * @param {string} text
 */
async function writeSettings(folder, name, text) {
  const file = join(folder, name)
  await writeFile(file, text)
  return file
}
