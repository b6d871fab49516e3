import { Counter, Gauge, type Registry } from 'prom-client'
import type { RedisNumbers } from '../redis/connection.ts'

export function registerRedis(registry: Registry, read: () => RedisNumbers): void {
  const registers = [registry]
  new Gauge({
    name: 'simpleia_redis_up',
    help: '1 while Redis is connected; else each replica counts and remembers for itself.',
    registers,
    collect() {
      this.set(Number(read().isConnected))
    },
  })
  new Counter({
    name: 'simpleia_redis_errors_total',
    help: 'Failures of Redis: connections lost or refused, answers that came too late, and refusals.',
    labelNames: ['kind'],
    registers,
    collect() {
      this.reset()
      for (const [kind, count] of Object.entries(read().failures)) this.inc({ kind }, count)
    },
  })
  new Counter({
    name: 'simpleia_redis_unanswered_total',
    help: 'What had to do without an answer of Redis.',
    registers,
    collect() {
      this.reset()
      this.inc(read().unanswered)
    },
  })
}
