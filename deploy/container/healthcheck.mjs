/** Exit status 0 when the mirror in this container answers; HTTPS is tried where plain HTTP is not spoken. */
import { get as getByHttp } from 'node:http'
import { get as getByHttps } from 'node:https'

const HEALTHZ = {
  host: '127.0.0.1',
  port: 5000,
  path: '/healthz',
  // Milliseconds; both attempts fit in the time that the image gives this check.
  timeout: 2000,
  // The certificate is for the name that clients use, and nothing is sent that would need protection.
  rejectUnauthorized: false,
}

/** @returns {Promise<boolean>} */
function isHealthy(get) {
  return new Promise((resolve) => {
    const request = get(HEALTHZ, (response) => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    request.on('timeout', () => request.destroy())
    request.on('error', () => resolve(false))
  })
}

process.exitCode = (await isHealthy(getByHttp)) || (await isHealthy(getByHttps)) ? 0 : 1
