// @ts-check
/** nginx as a mirror, and as the file server that nobody is faster than. */
import { writeFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'

/**
 * @typedef {object} Listener
 * @property {number} port
 * @property {import('./subjects.mjs').Certificate | undefined} tls
 */

/**
 * One download for whoever asks at once, and files sent by the kernel: as fast as a cache without
 * policy and verification can be. Tags count for a minute, the rest for longer than any run.
 * @param {string} folder
 * @param {Listener & { originUrl: string }} setting
 */
export function nginxCache(folder, { originUrl, ...listener }) {
  return start(folder, {
    ...listener,
    http: `
  proxy_cache_path ${folder}/cache levels=1:2 keys_zone=cache:64m max_size=20g inactive=1d use_temp_path=off;
  upstream origin { server ${new URL(originUrl).host}; keepalive 64; }`,
    server: `
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_cache cache;
    proxy_cache_key $uri;
    proxy_cache_valid 200 1d;
    proxy_cache_lock on;
    # After these, others would download it too: 5 s each by default.
    proxy_cache_lock_age 1h;
    proxy_cache_lock_timeout 1h;
    location / { proxy_pass http://origin; }
    location ~ /manifests/[^:]+$ { proxy_pass http://origin; proxy_cache_valid 200 60s; }`,
  })
}

/**
 * @param {string} folder
 * @param {Listener & { root: string }} setting the files that the origin serves
 */
export function nginxStatic(folder, { root, ...listener }) {
  return start(folder, {
    ...listener,
    http: '',
    server: `
    root ${root};
    location = /v2/ { return 200; }`,
  })
}

/**
 * @param {string} folder
 * @param {Listener & { http: string, server: string }} setting
 */
async function start(folder, { port, tls, http, server }) {
  const file = join(folder, 'nginx.conf')
  const certificate = tls && `ssl_certificate ${tls.certificate}; ssl_certificate_key ${tls.key};`
  // Its workers would change to another user, who may not read the folders.
  const user = userInfo().uid === 0 ? `user ${userInfo().username};` : ''
  await writeFile(
    file,
    `daemon off;
${user}
worker_processes 1;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events { worker_connections 8192; }
http {
  access_log ${folder}/access.log;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  sendfile on;
  tcp_nopush on;
  aio off;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  open_file_cache max=1000;
  default_type application/octet-stream;${http}
  server {
    listen 127.0.0.1:${port}${tls ? ' ssl' : ''};
    ${certificate ?? ''}${server}
  }
}
`,
  )
  return ['nginx', '-p', folder, '-c', file]
}
