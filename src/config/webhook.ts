/** Who is told of new requests for access. */
import { parseWebhookUrl } from './endpoint.ts'
import { readSecret } from './files.ts'
import { InvalidValue } from './problem.ts'
import type { WebhookConfig } from './schema.ts'
import { Section } from './section.ts'
import type { FileShape, WebhookShape } from './shape.ts'

/** Fewer can be guessed by whoever has seen one signed message. */
const SECRET_MIN_BYTES = 16

/** @param folder what relative file names are relative to */
export function readWebhook(file: Section<FileShape>, folder: string): WebhookConfig | undefined {
  const { webhook } = file.shape
  if (webhook === undefined) return undefined
  const section = new Section<WebhookShape>(webhook, file.at('webhook'), file.report)
  const right = 'the URL to send to, such as https://hooks.example/entrepot'
  const url = section.require('url', right, parseWebhookUrl)
  const secret = readKey(section, folder)
  return url === undefined || secret === undefined ? undefined : { url, secret }
}

function readKey(section: Section<WebhookShape>, folder: string): string | undefined {
  if (section.isAbsent('secretFile')) {
    return section.require('secret', 'it, or secretFile with the name of a file', parseKey)
  }
  if (section.shape.secret !== undefined) {
    section.report.add(section.at('secret'), 'is there beside secretFile; keep one of the two')
  }
  return section.read('secretFile', (name) => parseKey(readSecret(folder, name, 'secret')))
}

function parseKey(text: string): string {
  if (Buffer.byteLength(text) < SECRET_MIN_BYTES) {
    throw new InvalidValue(
      `holds fewer than ${SECRET_MIN_BYTES} bytes, which can be guessed; write for example what "openssl rand -hex 32" prints`,
    )
  }
  return text
}
