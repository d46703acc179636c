// @ts-check
/** Clients that have the kernel drop the bodies. */

/** Bytes of an answer that are read to find its head; small answers come whole. */
const FIRST_READ = 16 * 1024

/**
 * @param {import('./epoll.mjs').Epoll} epoll
 * @param {import('./load.mjs').Job} job
 * @param {readonly import('./conversation.mjs').Conversation[]} conversations
 * @param {import('./conversation.mjs').Tally} tally
 * @returns {import('./load.mjs').Run}
 */
export function runOnEpoll(epoll, job, conversations, tally) {
  const { hostname, port } = new URL(job.url)
  const buffer = Buffer.alloc(FIRST_READ)
  /** @type {Map<number, import('./conversation.mjs').Conversation>} */
  const open = new Map()
  // All connect before the first one asks: the connections are no part of what is measured.
  for (const conversation of conversations) {
    open.set(epoll.connect(hostname, Number(port)), conversation)
  }
  const started = performance.now()
  const deadline = started + job.seconds * 1000
  for (const [fd, conversation] of open) ask(fd, conversation)
  for (let left = 1; open.size > 0 && left > 0; left = deadline - performance.now()) {
    epoll.wait(left, readable)
  }
  return { seconds: (performance.now() - started) / 1000, unfinished: open.size }

  /** @param {number} fd */
  function readable(fd) {
    const conversation = open.get(fd)
    if (conversation === undefined) return
    const missing = conversation.missing()
    const count = missing > 0 ? epoll.drop(fd, missing) : epoll.read(fd, buffer)
    if (count < 0) return
    const progress = count === 0 ? 'broken' : tell(conversation, missing > 0, count)
    if (progress === 'broken') leave(fd, 'broken')
    if (progress !== 'complete') return
    tally.complete += 1
    ask(fd, conversation)
  }

  /**
   * @param {import('./conversation.mjs').Conversation} conversation
   * @param {boolean} isDropped
   * @param {number} count
   */
  function tell(conversation, isDropped, count) {
    return isDropped ? conversation.dropped(count) : conversation.received(buffer, count)
  }

  /**
   * @param {number} fd
   * @param {import('./conversation.mjs').Conversation} conversation
   */
  function ask(fd, conversation) {
    const question = conversation.ask()
    if (question === undefined) return leave(fd)
    if (!epoll.send(fd, question)) leave(fd, 'broken')
  }

  /**
   * @param {number} fd
   * @param {'broken'} [reason]
   */
  function leave(fd, reason) {
    if (reason !== undefined) tally.broken += 1
    open.delete(fd)
    epoll.close(fd)
  }
}
