import { readdirSync } from 'node:fs'
import { totalmem } from 'node:os'
import { Gauge, Histogram, type Registry } from 'prom-client'
import { delaySeconds } from './buckets.ts'
import { readCounter, readGauge } from './register.ts'

/** How often the event loop is looked at. */
const lookMs = 100

/** What is known of this process. `close` ends the looking. */
export function registerProcess(registry: Registry, version: string): Readonly<{ close(): void }> {
  const gauge = (name: string, help: string, read: () => number | undefined) => readGauge(registry, { name, help }, read)
  gauge('process_resident_memory_bytes', 'Memory of the API process.', () => process.memoryUsage.rss())
  gauge('process_heap_used_bytes', 'JavaScript heap in use.', () => process.memoryUsage().heapUsed)
  // Looked at once: a clock that is set, or a fraction that differs, would look like another start.
  const startedAt = Math.round(Date.now() - process.uptime() * 1000) / 1000
  gauge('process_start_time_seconds', 'When the API process began, in Unix time.', () => startedAt)
  gauge('process_open_fds', 'Open files and connections of the API process.', countOpenFiles)
  const cpu = { name: 'process_cpu_seconds_total', help: 'CPU time of the API process.' }
  readCounter(registry, cpu, () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  gauge('simpleia_memory_available_bytes', 'Memory that is left for the service and its models.', () => process.availableMemory())
  gauge('simpleia_memory_limit_bytes', 'Memory of the machine, or of the container where it has a limit.', memoryLimit)
  const build = new Gauge({
    name: 'simpleia_build_info',
    help: 'Always 1; tells the versions.',
    labelNames: ['version', 'node'],
    registers: [registry],
  })
  build.set({ version, node: process.versions.node }, 1)
  return watchEventLoop(registry)
}

function memoryLimit(): number {
  const constrained = process.constrainedMemory()
  // Without a limit it is 0, or a number that no machine has.
  return constrained > 0 && constrained < totalmem() ? constrained : totalmem()
}

/** Linux alone tells. */
function countOpenFiles(): number | undefined {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return undefined
  }
}

/** A timer that comes late was held up by what the event loop did meanwhile. */
function watchEventLoop(registry: Registry): Readonly<{ close(): void }> {
  const delays = new Histogram({
    name: 'simpleia_event_loop_delay_seconds',
    help: 'How late the event loop runs, looked at ten times a second.',
    buckets: delaySeconds,
    registers: [registry],
  })
  let expected = performance.now() + lookMs
  const timer = setInterval(() => {
    const now = performance.now()
    delays.observe(Math.max(0, now - expected) / 1000)
    expected = now + lookMs
  }, lookMs)
  timer.unref()
  return { close: () => clearInterval(timer) }
}
