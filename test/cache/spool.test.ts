import { lstat, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openSpool } from '../../src/cache/spool.ts'
import { digestHex, digestOf } from '../../src/oci/digest.ts'

const digest = digestOf(Buffer.from('layer'))

interface Folder extends AsyncDisposable {
  readonly path: string
}

async function makeFolder(): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), 'entrepot-spool-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

describe('the spool', () => {
  it('makes files that are told apart, although they are of the same blob', async () => {
    await using folder = await makeFolder()
    const spool = await openSpool(folder.path)

    const [one, other] = [await spool.create(digest), await spool.create(digest)]
    await one.handle.write('one')
    await other.handle.write('other')
    await one.handle.close()
    await other.handle.close()

    expect(await readFile(one.path, 'utf8')).toBe('one')
    expect(await readFile(other.path, 'utf8')).toBe('other')
    for (const name of await readdir(folder.path)) {
      expect(name.startsWith(`${digestHex(digest)}.`)).toBe(true)
    }
  })

  it('opens a file for reading and writing', async () => {
    await using folder = await makeFolder()
    const { handle } = await (await openSpool(folder.path)).create(digest)

    await handle.write(Buffer.from('bytes'), 0, 5, 0)

    const { buffer } = await handle.read(Buffer.alloc(5), 0, 5, 0)
    await handle.close()
    expect(buffer.toString()).toBe('bytes')
  })

  it('is closed to everybody else', async () => {
    await using folder = await makeFolder()
    const path = join(folder.path, 'data', 'spool')
    const spool = await openSpool(path)
    const file = await spool.create(digest)
    await file.handle.close()

    expect((await lstat(path)).mode & 0o777).toBe(0o700)
    expect((await lstat(file.path)).mode & 0o777).toBe(0o600)
  })

  it('removes a file, also one that has been adopted meanwhile', async () => {
    await using folder = await makeFolder()
    const spool = await openSpool(join(folder.path, 'spool'))
    const [left, adopted] = [await spool.create(digest), await spool.create(digest)]
    await left.handle.close()
    await adopted.handle.close()
    await rename(adopted.path, join(folder.path, 'adopted'))

    await spool.remove(left.path)
    await spool.remove(adopted.path)

    expect(await readdir(join(folder.path, 'spool'))).toEqual([])
    expect(await readdir(folder.path)).toContain('adopted')
  })

  it('is swept of what an earlier process left behind', async () => {
    await using folder = await makeFolder()
    const path = join(folder.path, 'spool')
    await mkdir(path)
    await writeFile(join(path, `${digestHex(digest)}.0`), 'half of a layer')
    await writeFile(join(path, 'anything'), '')

    await openSpool(path)

    expect(await readdir(path)).toEqual([])
  })
})
