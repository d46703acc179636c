/**
 * A token server for `auth: token` of docker-registry (the Docker Registry v2 token specification).
 *
 *   node token-server.mjs HOST PORT KEY.pem CERTIFICATE.pem SERVICE
 *
 * Anonymous callers may pull below PUBLIC/. TOKEN_PASSWORD_MIRROR (user `mirror`) may pull everything,
 * TOKEN_PASSWORD_PUBLISHER (user `publisher`) may push as well. Wrong credentials get 401.
 * One line a request goes to standard output: who asked, and for which scopes.
 */

import { createPrivateKey, randomUUID, sign, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'

const PUBLIC = 'bci/'
const LIFETIME_S = 300

const [host, port, keyFile, certificateFile, service] = process.argv.slice(2)
const key = createPrivateKey(readFileSync(keyFile))
const certificate = new X509Certificate(readFileSync(certificateFile))
const users = {
  mirror: { password: process.env.TOKEN_PASSWORD_MIRROR, actions: ['pull'] },
  publisher: { password: process.env.TOKEN_PASSWORD_PUBLISHER, actions: ['pull', 'push'] },
}

createServer(answer).listen(Number(port), host)

function answer(request, response) {
  const url = new URL(request.url, `http://${host}`)
  const scopes = url.searchParams.getAll('scope').flatMap((scope) => scope.split(' '))
  const caller = identify(request.headers.authorization)
  const line = `${request.method} ${url.pathname} caller=${caller ?? 'REFUSED'} ${scopes.join(' ')}`
  process.stdout.write(`${line}\n`)
  if (url.pathname !== '/token' || request.method !== 'GET') return send(response, 404, {})
  if (caller === undefined || url.searchParams.get('service') !== service) {
    return send(response, 401, { errors: [{ code: 'UNAUTHORIZED', message: 'who is this?' }] })
  }
  const access = scopes.map((scope) => grant(caller, scope)).filter((entry) => entry !== undefined)
  return send(response, 200, { token: makeToken(caller, access), expires_in: LIFETIME_S })
}

/** The user's name, '' without credentials, undefined when they are wrong. */
function identify(authorization) {
  if (authorization === undefined) return ''
  const [scheme, value = ''] = authorization.split(' ')
  const [name, ...password] = Buffer.from(value, 'base64').toString().split(':')
  const user = Object.hasOwn(users, name) ? users[name] : undefined
  return scheme.toLowerCase() === 'basic' && user?.password === password.join(':')
    ? name
    : undefined
}

function grant(caller, scope) {
  const [, type, name, wanted] = /^([a-z]+):(.+):([a-z*,]+)$/.exec(scope) ?? []
  if (type !== 'repository') return undefined
  const allowed = caller === '' ? (name.startsWith(PUBLIC) ? ['pull'] : []) : users[caller].actions
  const actions = wanted.split(',').filter((action) => allowed.includes(action))
  return actions.length === 0 ? undefined : { type, name, actions }
}

/** ES256; the registry checks the certificate in `x5c` against its `rootcertbundle`. */
function makeToken(caller, access) {
  const now = Math.floor(Date.now() / 1000)
  const header = { typ: 'JWT', alg: 'ES256', x5c: [certificate.raw.toString('base64')] }
  const claims = {
    iss: 'interop-token-server',
    sub: caller,
    aud: service,
    iat: now,
    nbf: now - 10,
    exp: now + LIFETIME_S,
    jti: randomUUID(),
    access,
  }
  const signed = `${base64url(header)}.${base64url(claims)}`
  const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' })
  return `${signed}.${signature.toString('base64url')}`
}

function base64url(value) {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function send(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}
