import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { folderWith, parse, problems } from './fixtures.ts'

const OK = 'upstreams: { docker.io: {} }\n'
const SECRET = '0123456789abcdef'
const SHORT =
  'holds fewer than 16 bytes, which can be guessed; write for example what "openssl rand -hex 32" prints'

function withWebhook(text: string): string {
  return `${OK}webhook: ${text}\n`
}

describe('webhook', () => {
  it.each([
    'https://hooks.example/services/T0/B0?sig=a@b',
    'http://10.0.0.5:8080/',
    'https://hooks.example/a@b',
  ])('sends to %s', (url) => {
    const { webhook } = parse(withWebhook(`{ url: "${url}", secret: ${SECRET} }`))
    expect(webhook).toEqual({ url, secret: SECRET })
  })

  it('counts bytes, and takes a file without the line break at its end', () => {
    const folder = folderWith({ hook: `${SECRET}\n` })
    const url = 'https://hooks.example/'
    const fromFile = withWebhook(`{ url: "${url}", secretFile: hook }`)
    expect(parse(fromFile, { file: join(folder, 'mirrors.yml') }).webhook?.secret).toBe(SECRET)
    const eightLetters = withWebhook(`{ url: "${url}", secret: éééééééé }`)
    expect(parse(eightLetters).webhook?.secret).toHaveLength(8)
  })

  it('is an environment variable where the file says so', () => {
    const text = withWebhook('{ url: https://hooks.example/, secret: "${HOOK}" }')
    expect(parse(text, { env: { HOOK: SECRET } }).webhook?.secret).toBe(SECRET)
  })

  it.each([
    ['{}', 'url: is missing; write the URL to send to, such as https://hooks.example/entrepot'],
    ['{}', 'secret: is missing; write it, or secretFile with the name of a file'],
    [
      '{ url: ftp://hooks.example }',
      'url: the text is not a URL; write for example https://hooks.example/entrepot',
    ],
    [
      '{ url: https://hooks.example\\a }',
      'url: the text is not a URL; write for example https://hooks.example/entrepot',
    ],
    [
      '{ url: https://key@hooks.example }',
      'url: the text holds user information; leave it out: messages are signed with the secret',
    ],
    [
      '{ url: "https://:key@hooks.example" }',
      'url: the text holds user information; leave it out: messages are signed with the secret',
    ],
    [
      '{ url: "https://hooks.example/#key" }',
      'url: the text has a fragment, which is never sent; leave it out',
    ],
    ['{ secret: 0123456789abcde }', `secret: the text ${SHORT}`],
    [
      '{ secret: 123456789012345678 }',
      'secret: found a number; write a secret, in quotes if it is a number',
    ],
    [
      `{ secret: ${SECRET}, secretFile: x }`,
      'secret: is there beside secretFile; keep one of the two',
    ],
    [
      '{ secretFile: none }',
      'secretFile: "none" cannot be read: there is no such file (looked in /etc/entrepot)',
    ],
  ])('%s: %s', (text, problem) => {
    expect(problems(withWebhook(text))).toContain(`2 webhook.${problem}`)
  })

  it('says of a file of secrets what is wrong with it', () => {
    const folder = folderWith({ empty: '\n', short: 'abc', long: 'a'.repeat(70_000) })
    const file = join(folder, 'mirrors.yml')
    const problem = (name: string): string[] =>
      problems(withWebhook(`{ url: https://hooks.example/, secretFile: ${name} }`), { file })
    const at = '2 webhook.secretFile:'
    expect(problem('empty')).toEqual([`${at} "empty" is an empty file; write the secret into it`])
    expect(problem('short')).toEqual([`${at} "short" ${SHORT}`])
    expect(problem('long')).toEqual([
      `${at} "long" is longer than 64 KiB, so it is hardly a secret`,
    ])
  })

  it.each([
    'https://hooks.example/s3cret',
    '[s3cret]',
    '{ url: s3cret, secret: s3cret }',
    '{ url: { s3: s3cret }, secret: [s3cret] }',
    '{ url: "https://a:s3cret@b", secret: "s3cret" }',
    '{ uri: s3cret, key: s3cret, secretfile: s3cret }',
    'true',
  ])('repeats nothing of %s', (text) => {
    const list = problems(withWebhook(text)).join('\n')
    expect(list).toContain('2 webhook')
    expect(list).not.toContain('s3cret')
    expect(list).not.toContain('found true')
  })
})
