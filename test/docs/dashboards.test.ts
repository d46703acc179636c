/** The dashboard and the alerts ask for nothing that a mirror does not export, and say what to do. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { METRICS } from '../../src/metric-definitions.ts'
import { createMetrics } from '../../src/metrics.ts'
import { buildImage } from '../fakes/images.ts'
import { startRegistry } from '../fakes/registry.ts'
import { startMirror } from '../support/mirror.ts'
import { labelsUsed, metricsIn, selectorsIn } from './promql.ts'

const IMAGE = buildImage({ seed: 'dashboards' })
const PAGE = read('docs/operations.md')

interface Dashboard {
  readonly panels: readonly {
    readonly id: number
    readonly type: string
    readonly title: string
    readonly description?: string
    readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>
    readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[]
  }[]
  readonly templating: { readonly list: readonly { readonly name: string; query: unknown }[] }
}

interface Rule {
  readonly record?: string
  readonly alert?: string
  readonly expr: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

const DASHBOARD = JSON.parse(read('deploy/grafana/entrepot.json')) as Dashboard
const GROUPS = (
  parse(read('deploy/prometheus/alerts.yml')) as {
    readonly groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[]
  }
).groups
const RULES = GROUPS.flatMap(({ rules }) => rules)
const ALERTS = RULES.filter(({ alert }) => alert !== undefined)
const PANELS = DASHBOARD.panels.filter(({ type }) => type !== 'row')
const QUERIES = PANELS.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
const ON_THE_PAGE = [...PAGE.matchAll(/```promql\n(.*?)```/gs)].flatMap(([, block = '']) =>
  block
    .replace(/#.*$/gm, '')
    .split(/\n\s*\n|\n(?=\S)/)
    .map((query) => query.trim())
    .filter((query) => query !== ''),
)
const ALL = [...QUERIES, ...RULES.map(({ expr }) => expr), ...ON_THE_PAGE]

/** Of Prometheus itself: where it has scraped. */
const SCRAPED = ['instance', 'job']
const DEFINED = new Map<string, readonly string[]>(
  Object.values(METRICS).map((metric) => [
    metric.name,
    'labelNames' in metric ? metric.labelNames : [],
  ]),
)
const RECORDED = new Map(RULES.flatMap(({ record, expr }) => (record ? [[record, expr]] : [])))

/** Everything that a label may say, where that is a closed set. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  kind: 'ping manifest blob tags referrers catalog token api other'.split(' '),
  outcome: 'hit joined miss revalidated stale bypass denied'.split(' '),
  status: '1xx 2xx 3xx 4xx 5xx'.split(' '),
  reason: 'not-found unauthorized forbidden rate-limited unavailable corrupt disk budget'.split(
    ' ',
  ),
  state: ['well', 'resting'],
  result:
    'accepted rejected held-back stored failed dropped delivered complete incomplete warmed'.split(
      ' ',
    ),
}

describe('what is exported', () => {
  it('by a mirror that has served something has the labels that are defined', async () => {
    await using registry = await startRegistry()
    registry.push('library/app', 'v1', IMAGE)
    await using mirror = await startMirror({
      upstreams: { 'docker.io': { registry, complete: 'pulled' } },
      deny: ['docker.io/library/denied'],
      yaml: { budget: '1GiB' },
    })
    await mirror.pull('docker.io/library/app', 'v1')
    await mirror.app.idle()
    await mirror.pull('docker.io/library/app', 'v1')
    await mirror.get('/v2/docker.io/library/denied/manifests/v1')
    await mirror.get('/v2/docker.io/library/none/manifests/v1')
    await mirror.get('/v2/', { headers: { authorization: 'Basic YWxpY2U6d3Jvbmc=' } })
    await registry.goDown()
    await mirror.get('/v2/docker.io/library/other/manifests/v1')
    const page = (await mirror.get('/metrics')).body.toString()

    const types = [...page.matchAll(/^# TYPE (\w+) (\w+)$/gm)]
    expect(new Set(types.map(([, name]) => name))).toEqual(new Set(DEFINED.keys()))
    const samples = [
      ...page.matchAll(/^(entrepot_\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? \S+$/gm),
    ]
    expect(samples.length).toBeGreaterThan(50)
    for (const [, name = '', pairs = ''] of samples) {
      const labels = [...pairs.matchAll(/(\w+)="/g)].map(([, label = '']) => label)
      const own = labels.filter((label) => label !== 'le')
      expect([name, own.toSorted()]).toEqual([name, [...(DEFINED.get(name) ?? [])].toSorted()])
    }
    const valueOf = (sample: string): number => {
      const line = page.split('\n').find((text) => text.startsWith(`${sample} `))
      return Number(line?.split(' ').at(-1))
    }
    expect(valueOf('entrepot_cache_budget_bytes')).toBe(2 ** 30)
    expect(valueOf('entrepot_disk_free_bytes')).toBeGreaterThan(0)
    expect(valueOf('entrepot_offline')).toBe(0)
    expect(valueOf('entrepot_processes')).toBe(1)
    expect(valueOf('entrepot_process_resident_memory_bytes')).toBeGreaterThan(1e7)
    expect(valueOf('entrepot_process_cpu_seconds_total')).toBeGreaterThan(0)
    expect(valueOf('entrepot_event_loop_busy_seconds_total')).toBeGreaterThan(0)
    const started = valueOf('entrepot_process_start_time_seconds') * 1000
    expect(Math.abs(Date.now() - performance.now() - started)).toBeLessThan(10_000)
    const states = ['well', 'resting'].map((state) =>
      valueOf(`entrepot_upstream_endpoints{upstream="docker.io",state="${state}"}`),
    )
    expect(states).toEqual([0, 1])
  })

  it('says of each what it is, and in which unit', async () => {
    const { text } = await createMetrics().render()
    const units = [
      [/_bytes(?:_total)?$/, /bytes/i],
      [/_seconds(?:_total)?$/, /seconds/i],
    ] as const
    for (const [, name = '', help = ''] of text.matchAll(/^# HELP (\w+) (.*)$/gm)) {
      expect([name, help]).toEqual([name, expect.stringMatching(/^(?:[A-Z1]\S*)(?: \S+){2,}\.$/)])
      const [, unit = /./] = units.find(([end]) => end.test(name)) ?? []
      expect([name, help]).toEqual([name, expect.stringMatching(unit)])
    }
  })

  it('stays what it was where nobody can say what is so now', async () => {
    const metrics = createMetrics()
    const sample = {
      offline: true,
      store: { budget: undefined, freeBytes: 7 },
      upstreams: [{ name: 'quay.io', endpoints: [{ restsFor: 0 }, { restsFor: 5 }] }],
    }
    metrics.sampled(async () => sample)
    const lines = (await metrics.render()).text.split('\n')
    expect(lines).toContain('entrepot_offline 1')
    expect(lines).toContain('entrepot_cache_budget_bytes 0')
    expect(lines).toContain('entrepot_upstream_endpoints{upstream="quay.io",state="resting"} 1')
    metrics.sampled(() => Promise.reject(new Error('The disk is gone.')))
    expect((await metrics.render()).text).toContain('entrepot_disk_free_bytes 7')
    metrics.sampled(async () => ({
      ...sample,
      upstreams: [],
      store: { budget: 9, freeBytes: undefined },
    }))
    const { text } = await metrics.render()
    expect(text).not.toContain('quay.io')
    expect(text).toContain('entrepot_disk_free_bytes 7')
    expect(text).toContain('entrepot_cache_budget_bytes 9')
  })
})

describe('queries', () => {
  it('are there', () => {
    expect(QUERIES.length).toBeGreaterThan(40)
    expect(RULES.length).toBeGreaterThan(20)
    expect(ON_THE_PAGE.length).toBeGreaterThan(3)
  })

  it.each(ALL)('ask for metrics that there are, by labels that these have: %s', (query) => {
    expect(problemsOf(query)).toEqual([])
  })

  it.each([
    ['sum(rate(entrepot_request_total[5m]))', 'no metric entrepot_request_total'],
    ['rate(entrepot_cache_bytes_bucket[5m])', 'no metric entrepot_cache_bytes_bucket'],
    ['rate(entrepot_requests_total{code="200"}[5m])', 'entrepot_requests_total has no label code'],
    ['sum by (user) (entrepot_requests_total)', 'no label user'],
    ['sum by (upstream) (entrepot_cache_bytes)', 'no label upstream'],
    ['entrepot_requests_total{outcome="hits"}', 'outcome is never hits'],
    ['entrepot_requests_total{outcome=~"hit|hits"}', 'outcome is never hits'],
    ['entrepot:unknown:rate5m', 'no rule entrepot:unknown:rate5m'],
    ['rate(node_cpu_seconds_total[5m])', 'no metric node_cpu_seconds_total'],
    [
      'histogram_quantile(0.9, entrepot_cache_bytes{le="1"})',
      'entrepot_cache_bytes has no label le',
    ],
  ])('are found to be wrong where they are: %s', (query, problem) => {
    expect(problemsOf(query)).toContain(problem)
  })
})

describe('the dashboard', () => {
  it('has a row for each thing that one looks at, and panels that say what they show', () => {
    const rows = DASHBOARD.panels.filter(({ type }) => type === 'row').map(({ title }) => title)
    expect(rows).toEqual([
      'Traffic',
      'Latency',
      'Downloads',
      'Upstreams',
      'Disk',
      'Damage',
      'Access',
      'Processes',
    ])
    const ids = DASHBOARD.panels.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    for (const { title, description = '', targets = [] } of PANELS) {
      expect([title, description]).toEqual([title, expect.stringMatching(/\.$/)])
      expect([title, targets.length]).not.toEqual([title, 0])
    }
  })

  it('lays no panel over another', () => {
    const cells = DASHBOARD.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, at) => `${x + (at % w)} ${y + Math.floor(at / w)}`),
    )
    expect(new Set(cells).size).toBe(cells.length)
    expect(DASHBOARD.panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true)
  })

  it('names labels in its legends that the query leaves over', () => {
    for (const { title, targets = [] } of PANELS) {
      for (const { expr, legendFormat } of targets) {
        const named = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = '']) => label)
        const kept = labelsLeft(expr)
        expect([title, named.filter((label) => !kept.includes(label))]).toEqual([title, []])
      }
    }
  })

  it('asks by variables that it has, each of which asks for something that there is', () => {
    const variables = DASHBOARD.templating.list.map(({ name }) => name)
    const used = QUERIES.flatMap((query) => [...query.matchAll(/\$(\w+)/g)].map(([, name]) => name))
    const own = new Set(used.filter((name) => !name?.startsWith('__')))
    expect([...own].filter((name) => !variables.includes(name ?? ''))).toEqual([])
    for (const { query } of DASHBOARD.templating.list) {
      const [, metric = '', label = ''] = /^label_values\((\w+), (\w+)\)$/.exec(textOf(query)) ?? []
      if (textOf(query) === 'prometheus') continue
      expect(problemsOf(`${metric}{${label}="x"}`)).toEqual([])
    }
  })

  it('shows every metric that there is', () => {
    const shown = new Set([...QUERIES, ...RULES.map(({ expr }) => expr)].flatMap(metricsIn))
    const missing = [...DEFINED.keys()].filter(
      (name) => ![name, `${name}_bucket`].some((it) => shown.has(it)),
    )
    expect(missing).toEqual(['entrepot_warm_last_run_timestamp_seconds'])
  })
})

describe('an alert', () => {
  it.each(ALERTS.map((alert) => [alert.alert ?? '', alert] as const))(
    '%s says what is wrong and what to do, at length in the handbook',
    (name, { expr, labels, annotations = {} }) => {
      expect(Object.keys(annotations).toSorted()).toEqual(['action', 'runbook', 'summary'])
      for (const text of [annotations['summary'], annotations['action']]) {
        expect(text).toMatch(/[.]$/)
      }
      expect(labels?.['severity']).toMatch(/^(?:info|warning|critical)$/)
      expect(annotations['runbook']).toBe(`docs/operations.md#${name.toLowerCase()}`)
      const told = Object.values(annotations).join(' ')
      const named = [...told.matchAll(/\$labels\.(\w+)/g)].map(([, label = '']) => label)
      const kept = [...labelsLeft(expr), ...SCRAPED]
      expect(named.filter((label) => !kept.includes(label))).toEqual([])
    },
  )

  it('is described only if it is there', () => {
    const described = [...PAGE.matchAll(/^#### (Entrepot\w+)$/gm)].map(([, name]) => name)
    expect(new Set(described)).toEqual(new Set(ALERTS.map(({ alert }) => alert)))
    expect(described).toHaveLength(ALERTS.length)
  })

  it('has a name of its own', () => {
    const names = RULES.map(({ alert, record }) => alert ?? record)
    expect(new Set(names).size).toBe(names.length)
  })
})

/** What a query asks for that no mirror has. */
function problemsOf(query: string): string[] {
  const selectors = selectorsIn(query)
  const problems = selectors.flatMap(({ metric, matchers }) => {
    if (metric.includes(':')) return RECORDED.has(metric) ? [] : [`no rule ${metric}`]
    const labels = labelsOfSeries(metric)
    if (labels === undefined) return [`no metric ${metric}`]
    return matchers.flatMap(({ label, values }) => {
      if (![...labels, ...SCRAPED].includes(label)) return [`${metric} has no label ${label}`]
      const known = VALUES[label]
      return values
        .filter((value) => known !== undefined && !known.includes(value))
        .map((value) => `${label} is never ${value}`)
    })
  })
  // What is kept must be had by one of them at least; a comparison of two checks each by itself.
  const had = new Set([
    ...selectors.flatMap(({ metric }) => labelsOfSeries(metric) ?? []),
    ...SCRAPED,
  ])
  const lost = labelsUsed(query).filter((label) => !had.has(label))
  return [...problems, ...lost.map((label) => `no label ${label}`)]
}

/** What the result has: all that is asked for, where nothing sums it up. */
function labelsLeft(query: string): readonly string[] {
  const isSummedUp = /\b(?:sum|min|max|avg|count|absent)\b/.test(query)
  if (isSummedUp) return labelsUsed(query)
  return metricsIn(query).flatMap((metric) => labelsOfSeries(metric) ?? [])
}

/** `undefined`: there is no such series. */
function labelsOfSeries(series: string): readonly string[] | undefined {
  const recorded = RECORDED.get(series)
  if (recorded !== undefined) return labelsUsed(recorded)
  const histogram = /^(\w+)_(bucket|sum|count)$/.exec(series)
  if (histogram?.[1] === METRICS.duration.name) {
    return [...METRICS.duration.labelNames, ...(histogram[2] === 'bucket' ? ['le'] : [])]
  }
  return series === METRICS.duration.name ? undefined : DEFINED.get(series)
}

function textOf(query: unknown): string {
  return typeof query === 'string' ? query : (query as { readonly query: string }).query
}

function read(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
}
