/** What changes while an answer is made that may be remembered. */
import { describe, expect, it, onTestFinished } from 'vitest'
import { createAllowlist } from '../../src/access/allowlist.ts'
import { createGate, type Gate } from '../fakes/gate.ts'
import { BY_TAG, type HotMirror, NOW, openHotMirror, PATHS } from './hot-mirror.ts'

describe('what changes while an answer is made', () => {
  it.each<[string, (mirror: HotMirror) => void]>([
    ['rules', ({ state }) => (state.policy = { ...state.policy })],
    ['tags', ({ state }) => (state.tagsVersion += 1)],
  ])('%s: it is not given again', async (_, happen) => {
    for (const path of PATHS) {
      await using mirror = await openHotMirror()
      const gate = holdBehind(mirror)
      const asking = mirror.ask(path)
      await gate.reached
      happen(mirror)
      gate.open()
      expect((await asking).status).toBe(200)
      expect(await mirror.isAsked(path), `again ${path}`).toBe(true)
    }
  })

  it('a rule that refuses it: who asks later is refused, though the answer came later still', async () => {
    for (const path of PATHS) {
      await using mirror = await openHotMirror()
      const gate = holdBehind(mirror)
      const asking = mirror.ask(path)
      await gate.reached
      mirror.state.policy = { ...mirror.state.policy, allowlist: createAllowlist([], []) }
      gate.open()
      expect((await asking).status).toBe(200)
      for (let time = 0; time < 2; time += 1) expect((await mirror.ask(path)).status).toBe(403)
    }
  })

  it('an old answer does not take the place of a newer one', async () => {
    await using mirror = await openHotMirror()
    const gate = holdBehind(mirror)
    mirror.state.manifest = { mediaType: 'old' }
    const late = mirror.ask(BY_TAG)
    await gate.reached
    Object.assign(mirror.state, { tagsVersion: 2, manifest: { mediaType: 'new' } })
    mirror.state.gateBehind = undefined
    expect((await mirror.ask(BY_TAG)).headers['content-type']).toBe('new')
    gate.open()
    expect((await late).headers['content-type']).toBe('old')
    for (let time = 0; time < 3; time += 1) {
      expect((await mirror.ask(BY_TAG)).headers['content-type']).toBe('new')
    }
  })

  it('the time: what has ended meanwhile is not remembered', async () => {
    await using mirror = await openHotMirror()
    const gate = holdBehind(mirror)
    mirror.state.manifest = { freshUntil: NOW + 1000 }
    const asking = mirror.ask(BY_TAG)
    await gate.reached
    mirror.state.now = NOW + 1000
    gate.open()
    await asking
    expect(await mirror.isAsked(BY_TAG)).toBe(true)
  })

  function holdBehind(mirror: HotMirror): Gate {
    const gate = createGate()
    onTestFinished(() => gate.open())
    mirror.state.gateBehind = gate
    return gate
  }
})
