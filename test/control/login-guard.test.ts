import { describe, expect, it } from 'vitest'
import { createLoginGuard } from '../../src/control/login-guard.ts'
import { createClock, HOME } from './identity-support.ts'

const MINUTE = 60_000

function createGuard() {
  const clock = createClock()
  const guard = createLoginGuard({ now: clock.now })
  return {
    ...guard,
    clock,
    fail(times: number, user: (at: number) => string, address: (at: number) => string): void {
      for (let at = 0; at < times; at += 1) guard.attempt(user(at), address(at))
    },
  }
}

const alice = (): string => 'alice'
const home = (): string => HOME
const somebody = (at: number): string => `user${at}`
const somewhere = (at: number): string => `198.51.${at >> 8}.${at & 255}`

describe('failed logins', () => {
  it.each([
    ['of one user from one address', 5, alice, home],
    ['from one address', 30, somebody, home],
    ['of one user', 100, alice, somewhere],
  ] as const)('%s are held back after %i in a minute', (_, limit, user, address) => {
    const guard = createGuard()
    guard.fail(limit - 1, user, address)
    const [next, from] = [user(limit), address(limit)]
    expect(guard.heldBackFor(next, from)).toBeUndefined()
    guard.fail(
      1,
      () => next,
      () => from,
    )
    expect(guard.heldBackFor(next, from)).toBe(60)
    guard.clock.advance(MINUTE - 1)
    expect(guard.heldBackFor(next, from)).toBe(1)
    guard.clock.advance(1)
    expect(guard.heldBackFor(next, from)).toBeUndefined()
  })

  it('are counted in a window that slides', () => {
    const guard = createGuard()
    for (let second = 0; second < 5; second += 1) {
      guard.attempt('alice', HOME)
      guard.clock.advance(10_000)
    }
    expect(guard.heldBackFor('alice', HOME)).toBe(10)
    guard.clock.advance(10_000)
    expect(guard.heldBackFor('alice', HOME)).toBeUndefined()
    guard.attempt('alice', HOME)
    expect(guard.heldBackFor('alice', HOME)).toBe(10)
  })

  it('hold back neither others at the address nor the user elsewhere', () => {
    const guard = createGuard()
    guard.fail(5, alice, home)
    expect(guard.heldBackFor('bob', HOME)).toBeUndefined()
    expect(guard.heldBackFor('alice', '192.0.2.2')).toBeUndefined()
    expect(guard.heldBackFor(undefined, HOME)).toBeUndefined()
  })

  it('without a user count for the address alone', () => {
    const guard = createGuard()
    for (let time = 0; time < 30; time += 1) guard.attempt(undefined, HOME)
    expect(guard.heldBackFor(undefined, HOME)).toBe(60)
    expect(guard.heldBackFor('alice', HOME)).toBe(60)
    expect(guard.heldBackFor('undefined', '192.0.2.2')).toBeUndefined()
  })

  it('from one IPv6 network of 64 bits, or one IPv4 address in any spelling, count as one', () => {
    const guard = createGuard()
    for (let host = 0; host < 5; host += 1) guard.attempt('alice', `2001:db8:0:1::${host}`)
    expect(guard.heldBackFor('alice', '2001:db8:0:1:ffff:ffff:ffff:ffff')).toBe(60)
    expect(guard.heldBackFor('alice', '2001:db8:0:2::1')).toBeUndefined()
    for (let time = 0; time < 5; time += 1) guard.attempt('bob', '::ffff:192.0.2.9')
    expect(guard.heldBackFor('bob', '192.0.2.9')).toBe(60)
    expect(guard.heldBackFor('bob', '192.0.2.10')).toBeUndefined()
  })

  it('hold nobody back for longer when the clock is set back', () => {
    const guard = createGuard()
    guard.fail(5, alice, home)
    guard.clock.advance(-3_600_000)
    expect(guard.heldBackFor('alice', HOME)).toBeUndefined()
  })
})

describe('a login that succeeded', () => {
  it('counts nowhere, and ends what the user has failed from there', () => {
    const guard = createGuard()
    guard.fail(4, alice, home)
    for (let time = 0; time < 200; time += 1) guard.attempt('alice', HOME).succeeded()
    guard.fail(4, alice, home)
    expect(guard.heldBackFor('alice', HOME)).toBeUndefined()
    guard.fail(1, alice, home)
    expect(guard.heldBackFor('alice', HOME)).toBe(60)
  })

  it('does not end what others have failed from there', () => {
    const guard = createGuard()
    guard.fail(29, somebody, home)
    guard.attempt('alice', HOME).succeeded()
    expect(guard.heldBackFor('alice', HOME)).toBeUndefined()
    guard.fail(1, somebody, home)
    expect(guard.heldBackFor('alice', HOME)).toBe(60)
  })

  it('does not end what was tried with the name elsewhere', () => {
    const guard = createGuard()
    guard.fail(99, alice, somewhere)
    guard.attempt('alice', HOME).succeeded()
    expect(guard.heldBackFor('alice', HOME)).toBeUndefined()
    guard.fail(1, alice, somewhere)
    expect(guard.heldBackFor('alice', HOME)).toBe(60)
  })
})
