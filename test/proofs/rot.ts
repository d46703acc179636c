/** What disks do to files behind everybody's back. */
import { copyFile, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import type { Chance } from './chance.ts'

type Rot = 'a flipped bit' | 'a truncation' | 'an extension' | 'a swap'

const ROTS: readonly Rot[] = ['a flipped bit', 'a truncation', 'an extension', 'a swap']

/** Damages each of the files, in one way after the other; a swap damages two at once. */
export async function letRot(files: readonly string[], chance: Chance): Promise<void> {
  const left = [...files]
  for (let turn = 0; left.length > 0; turn += 1) {
    const file = left.shift() ?? ''
    const rot = ROTS[turn % ROTS.length]
    const other = rot === 'a swap' ? left.shift() : undefined
    if (other !== undefined) await swap(file, other)
    else if (rot === 'a truncation') await truncate(file, chance.between(0, await sizeOf(file)))
    else if (rot === 'an extension') await extend(file, chance.between(1, 5000))
    else await flipBit(file, chance)
  }
}

async function flipBit(file: string, chance: Chance): Promise<void> {
  const bytes = await readFile(file)
  const at = chance.between(0, bytes.length)
  bytes[at] = (bytes[at] ?? 0) ^ (1 << chance.between(0, 8))
  await writeFile(file, bytes)
}

async function extend(file: string, bytes: number): Promise<void> {
  await writeFile(file, Buffer.alloc(bytes), { flag: 'a' })
}

async function swap(one: string, other: string): Promise<void> {
  const kept = `${one}.kept`
  await copyFile(one, kept)
  await copyFile(other, one)
  await rename(kept, other)
}

/** Files that are no longer there. */
export async function remove(files: readonly string[]): Promise<void> {
  for (const file of files) await rm(file)
}

async function sizeOf(file: string): Promise<number> {
  return (await stat(file)).size
}
