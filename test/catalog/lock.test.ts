import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { lockFolder } from '../../src/catalog/lock.ts'
import { within } from '../support/until.ts'
import { makeFolder } from './folder.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

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
    await compile(folder.path)
    await using holder = await startHolder(folder.path)

    expect(() => lockFolder(folder.path)).toThrow(isHeld)

    await holder.kill()
    const lock = lockFolder(folder.path)
    // The other way round: the second process is told, and ends.
    await expect(startHolder(folder.path)).rejects.toThrow(/Another Entrepot is using/)
    lock.release()
  })
})

/** The lock as a process of its own can run it. */
async function compile(folder: string): Promise<void> {
  const options = '--ignoreConfig --module nodenext --target es2023 --types node --skipLibCheck'
  await promisify(execFile)(
    join(ROOT, 'node_modules', '.bin', 'tsc'),
    [
      ...options.split(' '),
      '--rewriteRelativeImportExtensions',
      '--rootDir',
      join(ROOT, 'src'),
      '--outDir',
      join(folder, 'dist'),
      join(ROOT, 'src', 'catalog', 'lock.ts'),
    ],
    { cwd: ROOT },
  )
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
}

interface Holder extends AsyncDisposable {
  kill(): Promise<void>
}

/** Takes the lock and drops the object: a collector must not let the lock go. */
async function startHolder(folder: string): Promise<Holder> {
  const url = pathToFileURL(join(folder, 'dist', 'catalog', 'lock.js')).href
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
