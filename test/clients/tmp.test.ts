import { test } from 'vitest'
import { openPythonClient } from './python.ts'
import { openWorld } from './world.ts'
test('x', async () => {
  await using world = await openWorld()
  for (const name of (process.env.PYC ?? '').split(',')) {
    const start = Date.now()
    const c = openPythonClient(`${name}_client`)
    const r = await c.report(world).catch((e) => [{feature:'', state:'failed', detail: String(e)}])
    console.log(name, Date.now() - start, r.filter((x) => x.state !== 'works'), r.filter((x) => x.state === 'works').length)
  }
})
