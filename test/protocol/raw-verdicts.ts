import type { RawAnswer } from '../support/raw-socket.ts'
import { errorCode } from './answers.ts'

/** Status and error code of each response in what came over a connection, e.g. `404 NAME_UNKNOWN`. */
export function rawVerdicts({ text }: Pick<RawAnswer, 'text'>): string[] {
  const verdicts: string[] = []
  let rest = text
  while (rest !== '') {
    const [head, status] = /^HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n/.exec(rest) ?? []
    if (head === undefined) return [...verdicts, `unreadable: ${rest.slice(0, 40)}`]
    const length = Number(/^content-length: (\d+)\r$/im.exec(head)?.[1] ?? 0)
    const body = rest.slice(head.length, head.length + length)
    const code = errorCode(body)
    verdicts.push(code === undefined ? `${status}` : `${status} ${code}`)
    rest = rest.slice(head.length + length)
  }
  return verdicts
}
