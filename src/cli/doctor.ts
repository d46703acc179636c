/** entrepot doctor: looks at a mirror from its host or from a node, and says what to do. */
import { ConfigError } from '../config/problem.ts'
import type { Config } from '../config/schema.ts'
import type { DoctorDependencies, Examine, Finding, State } from '../doctor.ts'
import { createPaint, type Paint } from './colour.ts'
import { failWith, type Command, type ExitCode, type Io } from './command.ts'
import { readDoctorOptions, type DoctorOptions } from './doctor-options.ts'
import { isSwitchedOffline } from './offline-switch.ts'
import { jsonText, safeText } from './text.ts'

export function createDoctor(examine: Examine, dependencies: DoctorDependencies = {}): Command {
  return async function doctor(args, io, signal) {
    try {
      const options = readDoctorOptions(args, io.env)
      const report = createReport(io, options.json)
      const config = options.looksAtHost ? readConfiguration(options, report) : undefined
      const address = options.address(config)
      const host = config && { config, offline: config.offline || isSwitchedOffline(config.data) }
      const question = options.question(address)
      await examine(
        { host, env: io.env, ...question },
        signal,
        (it) => report.add(it),
        dependencies,
      )
      return report.end(address?.name)
    } catch (error) {
      return failWith(io, error)
    }
  }
}

/** @returns `undefined` where it cannot be used, which is said */
function readConfiguration(
  { source }: Pick<DoctorOptions, 'source'>,
  report: Pick<Report, 'add'>,
): Config | undefined {
  const check = 'configuration'
  try {
    const config = source.load()
    report.add(
      source.isExample()
        ? {
            check,
            state: 'warning',
            found: 'there is no mirrors.yml in this folder, so the example counts',
            advice:
              'Say --config with the file of the mirror; entrepot config init makes a first one.',
          }
        : { check, state: 'ok', found: `${source.file()} is right` },
    )
    return config
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const advice = 'Mend that: the running mirror keeps what it had, and does not start again.'
    for (const found of error.message.split('\n'))
      report.add({ check, state: 'failed', found, advice })
    return undefined
  }
}

interface Report {
  add(finding: Finding): void
  /** @param mirror that was asked; `undefined`: none */
  end(mirror: string | undefined): ExitCode
}

function createReport(io: Io, asJson: boolean): Report {
  const paint = createPaint(io)
  const findings: Finding[] = []
  return {
    add(finding) {
      findings.push(finding)
      if (!asJson) for (const line of linesOf(finding, paint)) io.out(line)
    },
    end(mirror) {
      const counts = countsOf(findings)
      if (asJson) io.out(jsonText({ mirror, counts, findings }))
      else io.out(`\n${summary(counts)}`)
      return counts.failed > 0 ? 1 : 0
    },
  }
}

const STATES = ['ok', 'warning', 'failed', 'skipped'] as const
const STYLES = { ok: 'green', warning: 'yellow', failed: 'red', skipped: 'dim' } as const
const MAX_LINE = 2000

function linesOf({ state, check, found, advice }: Finding, paint: Paint): string[] {
  const mark = paint(STYLES[state], state.padEnd(MARK_WIDTH))
  const indent = ' '.repeat(MARK_WIDTH)
  return [
    `${mark}  ${safeText(check)}: ${safeText(found, MAX_LINE)}`,
    ...(advice === undefined ? [] : [`${indent}  → ${safeText(advice, MAX_LINE)}`]),
  ]
}

const MARK_WIDTH = Math.max(...STATES.map((state) => state.length))

type Counts = Readonly<Record<State, number>>

function countsOf(findings: readonly Finding[]): Counts {
  const of = (state: State): number => findings.filter((it) => it.state === state).length
  return { ok: of('ok'), warning: of('warning'), failed: of('failed'), skipped: of('skipped') }
}

function summary(counts: Counts): string {
  const parts = STATES.filter((state) => counts[state] > 0).map(
    (state) => `${counts[state]} ${state === 'warning' && counts[state] > 1 ? 'warnings' : state}`,
  )
  return `${parts.join(', ')}.`
}
