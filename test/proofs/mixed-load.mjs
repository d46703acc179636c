/**
 * Clients of all kinds, in a process of their own, for as long as it lives.
 *
 *   node mixed-load.mjs <url> <file with images, as JSON> <clients>
 *
 * They pull whole images, take ranges, leave in the middle, and ask for what does not exist or is not
 * allowed. What was seen is printed once a second, a JSON object a line.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { setInterval as everySoOften, setTimeout as delay } from 'node:timers/promises'

const [url = '', file = '', clients = '1'] = process.argv.slice(2)
/** Each with its name, tag, digest, and blobs of a digest and a size. */
const images = JSON.parse(await readFile(file, 'utf8'))
const state = { answers: 0, bytes: 0, failed: 0, left: 0, refused: 0, wrong: [] }
/** Milliseconds between two things that a client does. */
const PAUSE = 10
/** Half of the requests come over connections that are kept. */
const kept = new Agent({ keepAlive: true, maxSockets: Number(clients) })

const ACTIONS = [
  { share: 0.55, act: pullImage },
  { share: 0.2, act: takeRange },
  { share: 0.1, act: leave },
  { share: 0.05, act: () => expectStatus('/v2/docker.io/library/missing/manifests/v1', 404) },
  { share: 0.05, act: () => expectStatus('/v2/docker.io/forbidden/image/manifests/v1', 403) },
  { share: 0.05, act: () => expectStatus('/metrics', 200) },
]

async function client() {
  for (;;) {
    const { act } = chooseAction()
    await act(images[Math.floor(Math.random() * images.length)]).catch(() => {
      state.failed += 1
    })
    await delay(PAUSE)
  }
}

function chooseAction() {
  let left = Math.random()
  return ACTIONS.find(({ share }) => (left -= share) < 0) ?? ACTIONS[0]
}

async function pullImage({ name, tag, digest, blobs }) {
  await get(`/v2/${name}/manifests/${tag}`, digest)
  for (const blob of blobs) await get(`/v2/${name}/blobs/${blob.digest}`, blob.digest)
}

/** The whole, or nothing is said about its bytes. */
async function get(path, digest) {
  const answer = await ask(path)
  if (answer.status >= 500) state.refused += 1
  else if (answer.status !== 200) state.wrong.push(`${path}: ${answer.status}`)
  else if (answer.isComplete && answer.digest !== digest) state.wrong.push(`${path} is wrong`)
}

async function takeRange({ name, blobs }) {
  const { digest, size } = blobs.at(-1)
  const first = Math.floor(Math.random() * size)
  const last = first + Math.floor(Math.random() * (size - first))
  const path = `/v2/${name}/blobs/${digest}`
  const { status, isComplete, bytes } = await ask(path, { range: `bytes=${first}-${last}` })
  if (status >= 500) state.refused += 1
  else if (status !== 206) state.wrong.push(`a range of ${path}: ${status}`)
  else if (isComplete && bytes !== last - first + 1) state.wrong.push(`${path} is short`)
}

async function leave({ name, blobs }) {
  await ask(`/v2/${name}/blobs/${blobs.at(-1).digest}`, {}, 100_000)
  state.left += 1
}

async function expectStatus(path, status) {
  const answer = await ask(path)
  if (answer.status !== status && answer.status < 500) state.wrong.push(`${path}: ${answer.status}`)
}

/** @param leaveAfter bytes, after which the connection is closed */
function ask(path, headers = {}, leaveAfter = Infinity) {
  const agent = Math.random() < 0.5 ? kept : false
  return new Promise((resolve, reject) => {
    const outgoing = request(url + path, { headers, agent, timeout: 30_000 }, (incoming) => {
      const hash = createHash('sha256')
      let bytes = 0
      incoming.on('data', (chunk) => {
        hash.update(chunk)
        bytes += chunk.length
        if (bytes > leaveAfter) incoming.destroy()
      })
      incoming.on('error', () => undefined)
      incoming.once('close', () => {
        state.answers += 1
        state.bytes += bytes
        const { statusCode: status, complete: isComplete } = incoming
        resolve({ status, isComplete, bytes, digest: `sha256:${hash.digest('hex')}` })
      })
    })
    outgoing.once('timeout', () => outgoing.destroy(new Error(`${path} was silent`)))
    outgoing.once('error', reject)
    outgoing.end()
  })
}

for (let number = 0; number < Number(clients); number += 1) void client()
for await (const _ of everySoOften(1000)) process.stdout.write(`${JSON.stringify(state)}\n`)
