import { describe, expect, it } from 'vitest'
import { pathText, quote } from '../../src/config/problem.ts'
import { refusal } from './fixtures.ts'

describe('quote', () => {
  it.each([
    ['plain text', '"plain text"'],
    ['a "b" \\ c', '"a \\"b\\" \\\\ c"'],
    ['first\nsecond', '"first…"'],
    ['first\r\n', '"first…"'],
    ['x'.repeat(101), `"${'x'.repeat(100)}…"`],
    ['https://user:p@ss/word@quay.io/x', '"https://…@quay.io/x"'],
    ['https://quay.io/x?X-Amz-Signature=secret', '"https://quay.io/x?…"'],
    ['user:secret@quay.io', '"…@quay.io"'],
    ['docker.io/x@sha256:abc', '"docker.io/x@sha256:abc"'],
    ['-----BEGIN PRIVATE KEY----- MIGH secret', '"-----BEGIN PRIVATE KEY-----…"'],
    ['-----BEGIN PRIVATE KEY-----\nMIGH', '"-----BEGIN PRIVATE KEY-----…"'],
    ['', '""'],
  ])('%j is shown as %s', (text, shown) => {
    expect(quote(text)).toBe(shown)
  })
})

it('pathText puts what would be misread in quotes', () => {
  expect(pathText(['upstreams', 'docker.io', 'credentials', 0, 'password'])).toBe(
    'upstreams.docker.io.credentials[0].password',
  )
  expect(pathText([])).toBe('')
  expect(pathText(['hosts', 'a b\nc'])).toBe('hosts."a b…"')
})

describe('secrets', () => {
  const SECRET = 'hunter2'
  const head = 'upstreams:\n  docker.io:\n    '

  it.each([
    `credentials: ${SECRET}`,
    `credentials: [${SECRET}]`,
    `credentials: [someone:${SECRET}]`,
    `credentials: [{ username: [${SECRET}], password: [${SECRET}] }]`,
    `credentials: [{ username: "x:${SECRET}", password: x }]`,
    `credentials: [{ username: x, pasword: ${SECRET} }]`,
    `credentials: [{ username: x, password: ${SECRET}, passwordFile: none }]`,
    `credentials: [{ username: x, password: "${SECRET}\${" }]`,
    `credentials: [{ username: x, password: "${SECRET}\${-${SECRET}}" }]`,
    `credentials: [{ username: x, password: "${SECRET}" y }]`,
    `credentials: [{ username: x, password: "${SECRET}\\q" }]`,
    `credentials: [{ username: x, password: @${SECRET} }]`,
    `credentials: [{ username: x, password: !${SECRET} }]`,
    `credentials: [{ username: x, password: *${SECRET} }]`,
    `credentials: [{ username: x, passwordFile: "\${ENV}" }]`,
    `credentials: [{ username: "x:\${ENV}", password: x }]`,
    `endpoints: ["https://someone:${SECRET}@registry-1.docker.io"]`,
    `endpoints: ["https://registry-1.docker.io?token=${SECRET}"]`,
    `endpoints: ["\${ENV}"]`,
    `endpoints: ["https://x:\${ENV}@y/\${ENV}"]`,
    `realms: ["someone:${SECRET}@auth.docker.io"]`,
    `tagTtl: "\${ENV}"`,
    `networks: ["\${ENV}"]`,
    `ca: "\${ENV}"`,
    `ca: "-----BEGIN PRIVATE KEY----- ${SECRET}"`,
    `ca: "-----BEGIN PRIVATE KEY-----\\n${SECRET}"`,
  ])('%s is refused without showing it', (line) => {
    const { message, problems, stack } = refusal(head + line, { env: { ENV: SECRET } })
    expect(problems.length).toBeGreaterThan(0)
    expect(message + JSON.stringify(problems) + stack).not.toContain(SECRET)
  })

  it('a number as password is a secret too', () => {
    const { message } = refusal(`${head}credentials: [{ username: 1, password: 24680 }]`)
    expect(message).toContain('password: found a number; write a password, in quotes')
    expect(message).not.toContain('24680')
  })

  it.each([
    'listen',
    'publicUrl',
    'budget',
    'defaultUpstream',
    'offline',
    'rateLimitStatus',
    'allow',
  ])('%s shows what the file has, not what the environment put there', (key) => {
    const { message } = refusal(`upstreams: { docker.io: {} }\n${key}: "\${ENV}"`, {
      env: { ENV: SECRET },
    })
    expect(message).toContain('"${ENV}"')
    expect(message).not.toContain(SECRET)
  })

  it('a key beside a value from the environment is shown itself', () => {
    const { message } = refusal(`upstreams: { docker.io: {} }\nhosts: { "a b": "\${ENV}" }`, {
      env: { ENV: SECRET },
    })
    expect(message).toContain('"a b" is not a host name')
    expect(message).toContain('"${ENV}" is not under "upstreams"')
    expect(message).not.toContain(SECRET)
  })
})
