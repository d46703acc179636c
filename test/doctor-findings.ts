/** Examines with nothing said but what a test says, and gives what was found by check. */
import { examine, type DoctorDependencies, type Examination, type Finding } from '../src/doctor.ts'
import type { MirrorPlace } from '../src/doctor.ts'

const NOTHING: Examination = {
  place: undefined,
  isOwn: false,
  host: undefined,
  login: undefined,
  token: undefined,
  pull: undefined,
  env: {},
}

export interface Examined {
  readonly findings: readonly Finding[]
  /** Those of one check, each as `state: found`. */
  of(check: string): string[]
  /** The first of one check. */
  finding(check: string): Finding
}

export async function examined(
  examination: Partial<Examination>,
  dependencies: DoctorDependencies = {},
  signal = new AbortController().signal,
): Promise<Examined> {
  const findings: Finding[] = []
  await examine(
    { ...NOTHING, ...examination },
    signal,
    (finding) => void findings.push(finding),
    dependencies,
  )
  const named = (check: string): Finding[] => findings.filter((it) => it.check === check)
  return {
    findings,
    of: (check) => named(check).map(({ state, found }) => `${state}: ${found}`),
    finding(check) {
      const [first] = named(check)
      if (first === undefined) throw new Error(`There is no check "${check}".`)
      return first
    },
  }
}

/** Of a URL, with other settings. */
export function placeOf(url: string, more: Partial<MirrorPlace> = {}): MirrorPlace {
  const { protocol, hostname, port, origin } = new URL(url)
  const secure = protocol === 'https:'
  return {
    name: origin,
    secure,
    host: hostname,
    port: Number(port === '' ? (secure ? 443 : 80) : port),
    socketPath: undefined,
    ca: undefined,
    fingerprints: undefined,
    ...more,
  }
}
