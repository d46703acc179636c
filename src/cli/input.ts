/** Standard input: what scripts pipe in, and what people type. */
import { createInterface } from 'node:readline'
import { addAbortSignal, Writable, type Readable } from 'node:stream'

export interface Input {
  /** Somebody can be asked. */
  readonly isTerminal: boolean
  /**
   * Everything up to the end.
   * @throws {Error} when there is more than that many bytes
   */
  read(maxBytes: number, signal: AbortSignal): Promise<string>
  /**
   * Asks one after another; nothing of what is typed is shown.
   * @throws {Error} when it was given up
   */
  askSecrets(prompts: readonly string[], signal: AbortSignal): Promise<string[]>
}

interface Terminal {
  /** Looked for only when it is needed: that opens it. */
  readonly stream: () => Readable
  readonly isTerminal: () => boolean
  /** Where prompts go, apart from results. */
  readonly prompt: (text: string) => void
}

export function createInput({ stream, isTerminal, prompt }: Terminal): Input {
  return {
    get isTerminal() {
      return isTerminal()
    },
    read: (maxBytes, signal) => readAll(stream(), maxBytes, signal),
    askSecrets: (prompts, signal) => askSecrets(stream(), prompt, prompts, signal),
  }
}

async function readAll(stream: Readable, maxBytes: number, signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of addAbortSignal(signal, stream) as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxBytes) {
      throw new Error(`Standard input has more than the ${maxBytes} bytes that make sense.`)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** One interface for all prompts: what is pasted with line breaks in it answers several. */
async function askSecrets(
  stream: Readable,
  prompt: Terminal['prompt'],
  prompts: readonly string[],
  signal: AbortSignal,
): Promise<string[]> {
  // What is typed is shown by writing it to the output.
  const output = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: stream, output, terminal: true, historySize: 0 })
  const stop = (): void => lines.close()
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await new Promise((resolve, reject) => {
      const answers: string[] = []
      const ask = (): void => prompt(prompts[answers.length] ?? '')
      lines.on('line', (line) => {
        // Nor was the line break shown that ended it.
        prompt('\n')
        answers.push(line)
        if (answers.length === prompts.length) resolve(answers)
        else ask()
      })
      // With Ctrl-C and Ctrl-D, too.
      lines.once('close', () => {
        if (answers.length < prompts.length) prompt('\n')
        reject(new Error('It was given up.'))
      })
      ask()
      if (signal.aborted) stop()
    })
  } finally {
    signal.removeEventListener('abort', stop)
    lines.close()
  }
}
