/** Puts the faults of a server between a request and what the server would answer. */
import { type Content, contentResponse, replacedAnswer } from './answer.ts'
import type { FakeRequest, FaultBook, Faults } from './faults.ts'

/**
 * @param healthy what would be sent if nothing were wrong: content, or an answer that is an error
 *   already and is left as it is
 */
export async function answerWithFaults(
  request: Request,
  book: FaultBook,
  asked: Omit<FakeRequest, 'method' | 'ranged'>,
  healthy: () => Content | Response,
): Promise<Response> {
  const faults = book.take({
    ...asked,
    method: request.method,
    ranged: request.headers.has('range'),
  })
  await delay(faults)
  const replaced = replacedAnswer(request, faults)
  if (replaced) return replaced
  const answer = healthy()
  return answer instanceof Response ? answer : contentResponse(request, answer, faults)
}

async function delay({ delayHeaders }: Faults): Promise<void> {
  if (delayHeaders === undefined) return
  await ('pass' in delayHeaders ? delayHeaders.pass() : delayHeaders)
}
