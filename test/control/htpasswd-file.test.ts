import {
  chmodSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createHtpasswdFile } from '../../src/control/htpasswd-file.ts'
import { createClock, quickHash } from './identity-support.ts'

const A = quickHash('a')
const B = quickHash('b')

let folder = ''
let path = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'htpasswd-'))
  path = join(folder, 'users')
})
afterEach(() => rmSync(folder, { recursive: true }))

/** A file with its log, and a clock that has moved on before each look. */
function open(file = path) {
  const clock = createClock()
  const warnings: string[] = []
  const told: string[] = []
  const log = {
    warn: ({ err, reason }: { err?: Error; reason?: string }) =>
      void warnings.push(err?.message ?? reason ?? ''),
    info: (_: object, message: string) => void told.push(message),
  }
  const users = createHtpasswdFile(file, { log: log as never, now: clock.now })
  return {
    clock,
    warnings,
    told,
    refreshNow: () => users.refresh(),
    refresh() {
      clock.advance(1000)
      return users.refresh()
    },
    users: () => Object.fromEntries(users.users()),
  }
}

/** Written beside and renamed, as careful editors do. */
function replace(text: string): void {
  writeFileSync(`${path}.new`, text)
  renameSync(`${path}.new`, path)
}

describe('at the start', () => {
  it('is read', () => {
    writeFileSync(path, `alice:${A}\n`)
    expect(open().users()).toEqual({ alice: A })
  })

  it('says what is wrong in a sentence', () => {
    expect(() => open()).toThrow(`The file of users ${path} cannot be read: it is not there.`)
    expect(() => open(folder)).toThrow(
      `The file of users ${folder} cannot be read: it is not a file.`,
    )
    writeFileSync(path, `alice:${A}\nbob:secret\nx\ny\nz\n`)
    expect(() => open()).toThrow(
      `The file of users ${path} is broken. Line 2: The hash of bob is not of bcrypt; make it anew with htpasswd -B. Line 3: There is no colon between a name and a hash. Line 4: There is no colon between a name and a hash. And 1 more.`,
    )
    truncateSync(path, 1024 * 1024 + 1)
    expect(() => open()).toThrow(
      `The file of users ${path} cannot be read: it is larger than 1 MiB.`,
    )
  })
})

describe('a change', () => {
  beforeEach(() => writeFileSync(path, `alice:${A}\n`))

  it.each([
    ['in place', () => writeFileSync(path, `bob:${B}\n`)],
    ['by a new file', () => replace(`bob:${B}\n`)],
  ])('%s is found', (_, change) => {
    const file = open()
    change()
    expect(file.refresh()).toBe(true)
    expect(file.users()).toEqual({ bob: B })
    expect(file.refresh()).toBe(false)
    expect(file.told).toHaveLength(1)
  })

  it('of the same length and time is found', () => {
    const time = new Date('2026-11-21')
    utimesSync(path, time, time)
    const file = open()
    replace(`alice:${B}\n`)
    utimesSync(path, time, time)
    expect(file.refresh()).toBe(true)
    expect(file.users()).toEqual({ alice: B })
  })

  it('behind a link is found, and so is another link', () => {
    const link = join(folder, 'link')
    symlinkSync(path, link)
    const file = open(link)
    writeFileSync(path, `alice:${B}\n`)
    expect(file.refresh()).toBe(true)
    writeFileSync(`${path}.other`, `bob:${B}\n`)
    symlinkSync(`${path}.other`, `${link}.new`)
    renameSync(`${link}.new`, link)
    expect(file.refresh()).toBe(true)
    expect(file.users()).toEqual({ bob: B })
  })

  it('is looked for once a second, also when the clock was set back', () => {
    const file = open()
    replace(`bob:${B}\n`)
    file.clock.advance(999)
    expect(file.refreshNow()).toBe(false)
    file.clock.advance(1)
    expect(file.refreshNow()).toBe(true)
    replace(`alice:${B}\n`)
    expect(file.refreshNow()).toBe(false)
    file.clock.advance(-3_600_000)
    expect(file.refreshNow()).toBe(true)
  })

  it('that takes everybody away counts', () => {
    const file = open()
    replace('# nobody\n')
    expect(file.refresh()).toBe(true)
    expect(file.users()).toEqual({})
  })
})

describe('a file that has become useless', () => {
  beforeEach(() => writeFileSync(path, `alice:${A}\n`))

  it.each([
    ['is gone', () => rmSync(path), /it is not there/],
    ['is too large', () => truncateSync(path, 2 ** 21), /it is larger than 1 MiB/],
  ])('that %s leaves what it said before, and is logged once', (_, damage, message) => {
    const file = open()
    damage()
    for (let look = 0; look < 3; look += 1) expect(file.refresh()).toBe(false)
    expect(file.users()).toEqual({ alice: A })
    expect(file.warnings).toEqual([expect.stringMatching(message)])
    expect(JSON.stringify(file.warnings)).not.toContain('$2')

    replace(`bob:${B}\n`)
    expect(file.refresh()).toBe(true)
    expect(file.users()).toEqual({ bob: B })
  })

  it.each([
    [
      'is broken',
      () => replace(`bob:${B}\nalice:secret\n`),
      { bob: B },
      /Line 2: The hash of alice/,
    ],
    ['is cut off', () => truncateSync(path, 30), {}, /Line 1: The hash of alice is damaged/],
  ])('that %s counts without its wrong lines, and is logged once', (_, damage, left, message) => {
    const file = open()
    damage()
    expect(file.refresh()).toBe(true)
    expect(file.refresh()).toBe(false)
    expect(file.users()).toEqual(left)
    expect(file.warnings).toEqual([expect.stringMatching(message)])
    expect(JSON.stringify(file.warnings)).not.toContain('$2')
  })

  it('is logged again after another change', () => {
    const file = open()
    for (const text of ['x', 'xx']) {
      replace(text)
      expect(file.refresh()).toBe(true)
    }
    rmSync(path)
    file.refresh()
    expect(file.warnings).toHaveLength(3)
  })

  it('counts again when it may be read again', () => {
    const file = open()
    chmodSync(path, 0o000)
    file.refresh()
    chmodSync(path, 0o600)
    file.refresh()
    expect(file.users()).toEqual({ alice: A })
  })
})
