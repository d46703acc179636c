/** What the rules let in, of the file and of operators together. */
import { existsSync } from 'node:fs'
import { covers } from '../access/pattern.ts'
import { readPattern } from '../access/rule.ts'
import { openControlCatalog } from '../catalog/sqlite-control.ts'
import type { Config } from '../config/schema.ts'
import { controlFile } from '../control-settings.ts'
import { ok, warning, type Verdict } from './finding.ts'

interface Patterns {
  readonly allow: readonly string[]
  readonly deny: readonly string[]
}

/** @param now milliseconds since the epoch */
export async function checkRules(config: Config, now: number): Promise<Verdict[]> {
  const operators = await operatorRules(config, now)
  const allow = [...config.allow.map(({ pattern }) => pattern), ...operators.allow]
  const deny = [...config.deny, ...operators.deny]
  if (allow.length === 0) {
    return [
      warning(
        'no rule allows anything, so every pull is refused',
        'Add rules: entrepot allow add \'docker.io/library/*\', or "allow" in the configuration.',
      ),
    ]
  }
  const names = [...config.upstreams.keys()]
  const troubles = [
    ...names.filter((name) => !allow.some((it) => isAbout(it, name))).map(unreachable),
    ...names.filter((name) => deny.some((it) => coversAll(it, name))).map(denied),
    ...operators.allow.filter((it) => !names.some((name) => isAbout(it, name))).map(foreign),
  ]
  if (troubles.length > 0) return troubles
  return [ok(`${countText(allow.length)} allow, ${countText(deny.length)} deny`)]
}

function unreachable(upstream: string): Verdict {
  return warning(
    `no rule allows anything of ${upstream}`,
    `Add one: entrepot allow add '${upstream}/**', or take the upstream out of the configuration.`,
  )
}

function denied(upstream: string): Verdict {
  return warning(
    `a rule denies all of ${upstream}`,
    `If that is not meant: entrepot deny list ${upstream}/any/image shows which.`,
  )
}

function foreign(pattern: string): Verdict {
  return warning(
    `a rule allows ${pattern}, and there is no such upstream`,
    `Add the upstream to the configuration, or remove the rule: entrepot allow remove '${pattern}'`,
  )
}

/** Whether it may be about something of the upstream: what stands before its first slash, stars or not. */
function isAbout(pattern: string, upstream: string): boolean {
  const { name } = readPattern(pattern)
  const slash = name.indexOf('/')
  const first = slash === -1 ? name : name.slice(0, slash)
  return first.includes('**') || covers(first, upstream)
}

function coversAll(pattern: string, upstream: string): boolean {
  const { name, tag } = readPattern(pattern)
  return tag === undefined && covers(name, `${upstream}/**`)
}

/** None before the first start: the file is not made here. */
async function operatorRules(config: Config, now: number): Promise<Patterns> {
  const file = controlFile(config)
  if (!existsSync(file)) return { allow: [], deny: [] }
  const catalog = openControlCatalog(file)
  try {
    const { rules } = await catalog.state()
    const counting = rules.filter(({ expiresAt }) => expiresAt === undefined || expiresAt > now)
    const of = (effect: 'allow' | 'deny'): string[] =>
      counting.filter((rule) => rule.effect === effect).map(({ pattern }) => pattern)
    return { allow: of('allow'), deny: of('deny') }
  } finally {
    await catalog.close()
  }
}

function countText(count: number): string {
  return `${count} ${count === 1 ? 'rule' : 'rules'}`
}
