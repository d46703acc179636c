/** Clients that between them ask for every byte of a blob, and look at what all of them were given. */
import { expect } from 'vitest'
import { openStream } from '../support/client.ts'
import type { Chance } from './chance.ts'
import type { ColdBlob } from './cold-blob.ts'

interface Piece {
  readonly first: number
  /** Not included. */
  readonly end: number
}

/** Cuts so many bytes at random places; each is in exactly one piece. */
export function pieces(chance: Chance, size: number, count: number): Piece[] {
  const cuts = Array.from({ length: count - 1 }, () => chance.between(1, size))
  const bounds = [...new Set([0, ...cuts, size])].toSorted((one, other) => one - other)
  return bounds.slice(1).map((end, index) => ({ first: bounds[index] ?? 0, end }))
}

/**
 * All ask at once, two of them for the whole, which they do not get; whoever is cut does not ask again.
 * @returns for each byte of the blob whether it was given to anybody: 0 or 1
 */
export async function takeTogether(cold: ColdBlob, asked: readonly Piece[]): Promise<Uint8Array> {
  const size = cold.layer.bytes.length
  const whole: Piece = { first: 0, end: size }
  const taken = await Promise.all([whole, whole, ...asked].map((piece) => take(cold, piece)))
  expect(taken.slice(0, 2).map(({ isComplete }) => isComplete)).toEqual([false, false])
  const given = new Uint8Array(size)
  for (const { first, end } of taken) given.fill(1, first, end)
  return given
}

/** @returns what of the piece came before the answer was cut */
async function take(
  { mirror, layer }: ColdBlob,
  { first, end }: Piece,
): Promise<Piece & { readonly isComplete: boolean }> {
  const headers = first === 0 && end === layer.bytes.length ? {} : rangeOf(first, end)
  const asked = { url: mirror.url, path: layer.path, headers, idleMs: 60_000 }
  const stream = await openStream(asked)
  const bytes = await stream.rest()
  return { first, end: first + bytes.length, isComplete: bytes.length === end - first }
}

function rangeOf(first: number, end: number): { range: string } {
  return { range: `bytes=${first}-${end - 1}` }
}
