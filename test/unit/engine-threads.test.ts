import { expect, test } from 'vitest'
import { freeThreads } from '../../src/engine/local/free-threads.ts'
import { createThreadGovernor } from '../../src/engine/local/thread-governor.ts'

/** A machine with two cores, of which other programs take some: steps of 20 ms. */
function createMachine(threads = 2) {
  const machine = { free: threads, clock: 0, cpu: 0, set: [] as number[] }
  const governor = createThreadGovernor({
    threads,
    setThreads: (count) => void machine.set.push(count),
    now: () => machine.clock,
    cpuTime: () => machine.cpu,
  })
  const run = (steps: number) => {
    for (let step = 0; step < steps; step += 1) {
      governor.run(() => {
        machine.clock += 20
        machine.cpu += 20 * Math.min(machine.free, machine.set.at(-1) ?? threads)
      })
    }
  }
  return { machine, run }
}

test('on a calm machine all threads stay', () => {
  const { machine, run } = createMachine()
  run(1000)
  expect(machine.set).toEqual([])
})

test('when another program takes a core, a thread goes within a tenth of a second or two', () => {
  const { machine, run } = createMachine()
  run(10)
  machine.free = 1.4
  run(10)
  expect(machine.set).toEqual([1])
})

test('when the machine is calm again, the thread comes back', () => {
  const { machine, run } = createMachine()
  run(5)
  machine.free = 1.4
  run(10)
  machine.free = 2
  run(100)
  expect(machine.set).toEqual([1, 2])
})

test('on a machine that stays busy it is tried less and less often', () => {
  const { machine, run } = createMachine()
  run(5)
  machine.free = 1.4
  run(50 * 60)
  const tries = machine.set.filter((count) => count === 2).length
  expect(tries).toBeGreaterThan(2)
  expect(tries).toBeLessThan(8)
})

test('the first steps, which wait for the disk, count for nothing', () => {
  const { machine, run } = createMachine()
  machine.free = 0.5
  run(5)
  machine.free = 2
  run(100)
  expect(machine.set).toEqual([])
})

test('many threads go down to what is free', () => {
  const { machine, run } = createMachine(16)
  run(5)
  machine.free = 5.2
  run(20)
  expect(machine.set[0]).toBe(5)
})

test('one thread always stays', () => {
  const { machine, run } = createMachine(1)
  machine.free = 0.2
  run(100)
  expect(machine.set).toEqual([])
})

test('work that begins on a busy machine takes the cores that are free, and one in any case', () => {
  const cores = (...idle: number[]) => idle.map((time) => ({ times: { user: 1000 - time, nice: 0, sys: 0, idle: time, irq: 0 } }))
  const before = [0, 0, 0, 0].map(() => ({ times: { user: 0, nice: 0, sys: 0, idle: 0, irq: 0 } }))
  expect(freeThreads(4, before, cores(1000, 900, 800, 990))).toBe(4)
  expect(freeThreads(4, before, cores(1000, 100, 500, 990))).toBe(2)
  expect(freeThreads(2, before, cores(1000, 1000, 1000, 0))).toBe(2)
  expect(freeThreads(4, before, cores(0, 0, 0, 0))).toBe(1)
  expect(freeThreads(4, [], [])).toBe(1)
})
