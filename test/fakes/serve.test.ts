import { http } from 'msw'
import { describe, expect, it } from 'vitest'
import { request } from '../support/client.ts'
import { exchangeRaw } from '../support/raw-socket.ts'
import { serve } from './serve.ts'
import { onWire } from './wire.ts'

describe('msw handlers on a socket', () => {
  it('see the request as it came, and answer it', async () => {
    await using served = await serve([
      http.post('*/echo/:name', async ({ request, params }) =>
        Response.json({
          name: params['name'],
          search: new URL(request.url).search,
          header: request.headers.get('x-test'),
          body: await request.text(),
        }),
      ),
    ])
    const got = await request({
      url: served.url,
      path: '/echo/sha256:ab?n=1&n=2',
      method: 'POST',
      headers: { 'x-test': ['a', 'b'] },
      body: 'text',
    })
    expect(JSON.parse(got.body.toString())).toEqual({
      name: 'sha256:ab',
      search: '?n=1&n=2',
      header: 'a, b',
      body: 'text',
    })
    expect(served.requests[0]).toMatchObject({ method: 'POST', path: '/echo/sha256:ab' })
  })

  it('that do not answer make 404, that throw make 599', async () => {
    await using served = await serve([
      http.get('*/broken', () => {
        throw new TypeError('a mistake in the test')
      }),
    ])
    expect((await request({ url: served.url, path: '/other' })).status).toBe(404)
    const broken = await request({ url: served.url, path: '/broken' })
    expect([broken.status, broken.body.toString()]).toEqual([
      599,
      'the fake failed: TypeError: a mistake in the test',
    ])
  })

  it('record the path before any normalisation', async () => {
    await using served = await serve([])
    await request({ url: served.url, path: '/v2/a/../b/%2e?x=%2F?y' })
    expect(served.requests[0]).toMatchObject({ path: '/v2/a/../b/%2e', query: 'x=%2F?y' })
  })

  it('may send one header in several lines', async () => {
    await using served = await serve([
      http.get('*', () =>
        onWire(new Response(null, { headers: { 'www-authenticate': 'Basic realm="a"' } }), {
          headerLines: [['www-authenticate', 'Bearer realm="b"']],
        }),
      ),
    ])
    const { text } = await exchangeRaw({
      url: served.url,
      send: 'GET / HTTP/1.1\r\nhost: fake\r\nconnection: close\r\n\r\n',
    })
    expect(text.match(/^www-authenticate: .*$/gim)).toEqual([
      'www-authenticate: Basic realm="a"',
      'www-authenticate: Bearer realm="b"',
    ])
  })
})
