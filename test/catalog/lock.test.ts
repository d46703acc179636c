import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { lockFolder } from '../../src/catalog/lock.ts'
import { within } from '../support/until.ts'
import { compileInto } from './compiled.ts'
import { makeFolder } from './folder.ts'

const isHeld = expect.objectContaining({
  name: 'StorageError',
  code: 'exhausted',
  message: expect.stringMatching(/^Another Entrepot is using .*: stop it first\.$/),
})

describe('the lock of a folder', () => {
  it('is held by one at a time, also in one process', async () => {
    await using folder = await makeFolder()
    const lock = lockFolder(folder.path)

    expect(() => lockFolder(folder.path)).toThrow(isHeld)

    lock.release()
    lock.release()
    lockFolder(folder.path).release()
  })

  it('is one for each folder', async () => {
    await using folder = await makeFolder()
    const inner = join(folder.path, 'inner')
    await mkdir(inner)
    const [one, other] = [lockFolder(folder.path), lockFolder(inner)]

    one.release()
    other.release()
    expect(await readdir(inner)).toEqual(['lock.sqlite'])
  })

  it('says so when the folder is missing or its file is not what it should be', async () => {
    await using folder = await makeFolder()
    expect(() => lockFolder(join(folder.path, 'missing'))).toThrow(
      expect.objectContaining({ name: 'StorageError' }),
    )
    await writeFile(join(folder.path, 'lock.sqlite'), 'a text that is no database. '.repeat(50))
    expect(() => lockFolder(folder.path)).toThrow(
      expect.objectContaining({ name: 'StorageError', code: 'damaged' }),
    )
  })

  it('keeps other processes out until its own is killed', async () => {
    await using folder = await makeFolder()
    const url = await compileInto(folder.path, 'catalog/lock.ts')
    await using holder = await startHolder(url, folder.path)

    expect(() => lockFolder(folder.path)).toThrow(isHeld)

    await holder.kill()
    const lock = lockFolder(folder.path)
    // The other way round: the second process is told, and ends.
    await expect(startHolder(url, folder.path)).rejects.toThrow(/Another Entrepot is using/)
    lock.release()
  })
})

interface Holder extends AsyncDisposable {
  kill(): Promise<void>
}

/** Takes the lock and drops the object: a collector must not let the lock go. */
async function startHolder(url: string, folder: string): Promise<Holder> {
  const program = `
    const { lockFolder } = await import(${JSON.stringify(url)})
    lockFolder(${JSON.stringify(folder)})
    await new Promise((resolve) => setImmediate(resolve))
    gc()
    console.log('held')
    setInterval(() => undefined, 1000)`
  const child = spawn(process.execPath, ['--expose-gc', '--input-type=module', '-e', program])
  const exited = once(child, 'close')
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await exited
  }
  try {
    const ended = exited.then(() => Promise.reject(new Error(errors)))
    await within(Promise.race([once(child.stdout, 'data'), ended]), {
      deadlineMs: 15_000,
      what: 'the lock is taken',
    })
  } catch (error) {
    await kill()
    throw error
  }
  return { kill, [Symbol.asyncDispose]: kill }
}
