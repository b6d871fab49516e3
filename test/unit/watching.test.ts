import { spawnSync } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { createFakeEngine } from '../fake-engine.ts'
import { startServer } from '../server.ts'

// The files that an operator watches the service with, and the document on its metrics, against what the service really tells.

type Described = Readonly<{ name: string; type: string; help: string }>

let text = ''
let metrics: readonly Described[] = []

beforeAll(async () => {
  await using server = await startServer({ host: createFakeEngine({ answer: () => ({ pieces: ['a', 'b'] }) }) })
  await server.predict({ prompt: 'x' })
  await server.predict({ prompt: '' })
  text = await (await fetch(`${server.url}/metrics`)).text()
  metrics = [...text.matchAll(/^# HELP (\S+) (.+)\n# TYPE \S+ (\w+)$/gm)].map(([, name = '', help = '', type = '']) => ({
    ...{ name, help, type },
  }))
})

/** What is told with REDIS_URL alone. */
const withRedis = ['simpleia_redis_up', 'simpleia_redis_errors_total', 'simpleia_redis_unanswered_total']

/** Series that a metric has, by the names that queries use. */
function seriesNames(): ReadonlySet<string> {
  return new Set(
    metrics.flatMap(({ name, type }) => (type === 'histogram' ? ['_bucket', '_sum', '_count'].map((end) => name + end) : [name])),
  )
}

const folder = join('deploy', 'prometheus')
const rulesFolder = join(folder, 'rules')

type Rule = Readonly<{ record?: string; alert?: string; expr: string; annotations?: Readonly<Record<string, string>> }>

async function readRules(): Promise<readonly Rule[]> {
  const files = await readdir(rulesFolder)
  const texts = await Promise.all(files.map((file) => readFile(join(rulesFolder, file), 'utf8')))
  return texts.flatMap((one) => parse(one).groups.flatMap(({ rules }: { rules: Rule[] }) => rules))
}

type Panel = Readonly<{
  id: number
  title: string
  type: string
  gridPos: Place
  targets?: readonly Readonly<{ expr: string; refId: string }>[]
}>
type Place = Readonly<{ x: number; y: number; w: number; h: number }>

async function readDashboard() {
  const dashboard = JSON.parse(await readFile(join('deploy', 'grafana', 'dashboards', 'simpleia.json'), 'utf8'))
  const panels: readonly Panel[] = dashboard.panels
  return { dashboard, panels, queries: panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)) }
}

/** What a query names that only the service can tell. */
const namesIn = (query: string) => [...query.matchAll(/(?<![\w:])(?:simpleia|process)_\w+/g)].map(([name]) => name)

describe('rules and dashboard', () => {
  test('name only what the service tells or a rule records', async () => {
    const [rules, { queries }] = await Promise.all([readRules(), readDashboard()])
    const recorded = new Set(rules.flatMap(({ record }) => (record === undefined ? [] : [record])))
    const asked = [...rules.map(({ expr }) => expr), ...queries]
    expect(asked.flatMap(namesIn).filter((name) => !seriesNames().has(name) && !withRedis.includes(name))).toEqual([])
    const parts = asked.flatMap((query) => [...query.matchAll(/\b\w+:simpleia_\w+:\w+/g)].map(([name]) => name))
    expect(parts.filter((name) => !recorded.has(name))).toEqual([])
    expect(parts.length).toBeGreaterThan(5)
  })

  test('show each metric of the service somewhere', async () => {
    const { queries } = await readDashboard()
    const shown = new Set(queries.flatMap(namesIn).map((name) => name.replace(/_(?:bucket|sum|count)$/, '')))
    const forOthers = ['process_heap_used_bytes', 'process_start_time_seconds', 'simpleia_build_info', 'simpleia_cache_hit_ratio']
    const hidden = metrics.map(({ name }) => name).filter((name) => !shown.has(name.replace(/_(?:bucket|sum|count)$/, '')))
    // Those of a model are shown as what rules make of them.
    expect(hidden.filter((name) => ![...forOthers, 'simpleia_queue_limit'].includes(name))).toEqual([])
  })

  test('each alert says what is wrong and what to do', async () => {
    const alerts = (await readRules()).filter(({ alert }) => alert !== undefined)
    expect(alerts.length).toBeGreaterThan(15)
    for (const { alert, annotations = {} } of alerts) {
      expect(annotations.summary?.length, alert).toBeGreaterThan(20)
      expect(annotations.runbook?.length, alert).toBeGreaterThan(60)
    }
  })

  test('each alert is fired by a test of the rules', async () => {
    const tested = await readFile(join(folder, 'rules-test.yml'), 'utf8')
    const alerts = (await readRules()).flatMap(({ alert }) => (alert === undefined ? [] : [alert]))
    expect(alerts.filter((alert) => !tested.includes(alert))).toEqual([])
  })

  test('the dashboard is one that Grafana takes: its panels do not lie over each other, and ask its own data source', async () => {
    const { dashboard, panels } = await readDashboard()
    expect(dashboard).toMatchObject({ uid: 'simpleia', title: 'simpleIA', schemaVersion: expect.any(Number) })
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
    const variables: readonly { name: string }[] = dashboard.templating.list
    const known = new Set([...variables.map(({ name }) => name), '__rate_interval', '__range'])
    for (const { title, gridPos, targets = [], type } of panels) {
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24)
      if (type === 'row') continue
      expect(targets.length, title).toBeGreaterThan(0)
      expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length)
      for (const { expr } of targets)
        for (const [, name = ''] of expr.matchAll(/\$(\w+)/g)) expect(known.has(name), `${title}: ${name}`).toBe(true)
    }
    const overlaps = panels.filter((one) => panels.some((other) => one.id < other.id && areOver(one.gridPos, other.gridPos)))
    expect(overlaps.map(({ title }) => title)).toEqual([])
    expect(JSON.stringify(dashboard).match(/"uid":"(?!simpleia"|\$\{datasource\}")/)).toBeNull()
  })
})

const areOver = (one: Place, other: Place) =>
  one.x < other.x + other.w && other.x < one.x + one.w && one.y < other.y + other.h && other.y < one.y + one.h

test('docs/metrics.md describes each metric, as the service does itself, and no other', async () => {
  const document = await readFile(join('docs', 'metrics.md'), 'utf8')
  const rows = [...document.matchAll(/^\| `([a-z_0-9]+)(?:\{[^}`]*\})?` \| (\w+) \| (.+) \|$/gm)]
  const described = rows.map(([, name = '', type = '', help = '']) => ({ name, type, help }))
  const byName = (one: Described, other: Described) => (one.name < other.name ? -1 : 1)
  expect(described.toSorted(byName)).toEqual([...metrics].toSorted(byName))
})

const hasPromtool = spawnSync('promtool', ['--version']).error === undefined
if (!hasPromtool && process.env.CI === undefined) console.warn('promtool is not installed: what it would check is skipped.')

/** What the program says where it finds something. */
function promtool(words: readonly string[], input = ''): string {
  const { status, stdout, stderr } = spawnSync('promtool', words, { input, encoding: 'utf8' })
  return status === 0 ? '' : `${stdout}${stderr}`
}

// With CI set it fails where promtool is missing, so that it is not forgotten there.
describe.skipIf(!hasPromtool && process.env.CI === undefined)('promtool', () => {
  test('finds nothing to say against the metrics', () => {
    expect(promtool(['check', 'metrics'], text)).toBe('')
    expect(
      promtool(['check', 'metrics'], '# HELP Wrong_seconds_total\n# TYPE Wrong_seconds_total gauge\nWrong_seconds_total 1\n'),
    ).not.toBe('')
  })

  test('accepts the settings and the rules', () => {
    // The key of the collector is a file of the container.
    expect(promtool(['check', 'config', '--syntax-only', join(folder, 'prometheus.yml')])).toBe('')
    expect(promtool(['check', 'config', join(folder, 'prometheus-local.yml')])).toBe('')
  })

  test('sees each alert fire when it should, and only then', () => {
    expect(promtool(['test', 'rules', join(folder, 'rules-test.yml')])).toBe('')
  })
})
