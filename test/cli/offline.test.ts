import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { offline } from '../../src/cli/offline.ts'
import {
  isSwitchedOffline,
  switchOffline,
  switchOnline,
  watchSwitch,
} from '../../src/cli/offline-switch.ts'
import { configFile } from './config-file.ts'
import { runCommand } from './run-command.ts'

describe('entrepot offline', () => {
  it('switches on, tells, and switches off again', async () => {
    const { file, data } = configFile()
    const say = (action: string) => runCommand(offline, [action, '--config', file])
    expect(await say('status')).toMatchObject({
      code: 0,
      out: expect.stringContaining('not switched'),
    })
    expect(await say('on')).toMatchObject({ code: 0, error: '' })
    expect(isSwitchedOffline(data)).toBe(true)
    const { out } = await say('status')
    expect(out).toBe(`The mirror on ${data} is switched offline.`)
    expect((await say('off')).code).toBe(0)
    expect(isSwitchedOffline(data)).toBe(false)
    expect((await say('status')).out).toContain('not switched')
  })

  it('may be said twice', async () => {
    const { data } = configFile()
    for (const action of ['on', 'on', 'off', 'off']) {
      expect((await runCommand(offline, [action, '--data', data])).code).toBe(0)
    }
  })

  it('leaves one line that explains it, in a folder for the mirror alone', async () => {
    const { data } = configFile()
    await runCommand(offline, ['on', '--data', data])
    expect(readFileSync(join(data, 'offline'), 'utf8')).toMatch(/^\S.*connects to no upstream.*\n$/)
    expect(statSync(data).mode & 0o777).toBe(0o700)
  })

  it('needs no right configuration where the data folder is said', async () => {
    const { file, data } = configFile()
    writeFileSync(file, 'allow: [\n')
    expect((await runCommand(offline, ['on', '--config', file, '--data', data])).code).toBe(0)
    expect((await runCommand(offline, ['off', '--config', file, '--data', data])).code).toBe(0)
    const { code, error } = await runCommand(offline, ['on', '--config', file])
    expect(code).toBe(1)
    expect(error).toContain(file)
  })

  it.each(['off', 'status'])(
    'says at %s that the configuration may say so as well',
    async (action) => {
      const { file } = configFile('offline: true')
      const { out } = await runCommand(offline, [action, '--config', file])
      expect(out).toContain(`${file} says "offline: true"`)
    },
  )

  it.each([[], ['maybe'], ['on', 'off'], ['on', '--forever']])(
    'is called wrongly with %s %s',
    async (...args) => {
      const { data } = configFile()
      const { code, error } = await runCommand(offline, [...args.filter(Boolean), '--data', data])
      expect(code).toBe(2)
      expect(error).not.toBe('')
      expect(isSwitchedOffline(data)).toBe(false)
    },
  )
})

describe('the switch', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  it('is noticed within two seconds each time it is turned, and never twice', () => {
    vi.useFakeTimers()
    const { data } = configFile()
    const told: boolean[] = []
    const watch = watchSwitch(data, false, (now) => told.push(now))
    for (const [turn, expected] of [
      [switchOffline, [true]],
      [switchOffline, [true]],
      [switchOnline, [true, false]],
      [switchOnline, [true, false]],
      [switchOffline, [true, false, true]],
    ] as const) {
      turn(data)
      vi.advanceTimersByTime(2000)
      expect(told).toEqual(expected)
    }
    watch.close()
    switchOnline(data)
    vi.advanceTimersByTime(10_000)
    expect(told).toEqual([true, false, true])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('that was turned before the watch began is noticed too', () => {
    vi.useFakeTimers()
    const { data } = configFile()
    const told: boolean[] = []
    switchOffline(data)
    const watch = watchSwitch(data, false, (now) => told.push(now))
    vi.advanceTimersByTime(2000)
    expect(told).toEqual([true])
    watch.close()
  })
})
