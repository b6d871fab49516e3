import { createLedger } from '../../src/egress/ledger.ts'
import { createEgress } from '../../src/engine/cloud/egress.ts'
import { openStorage } from '../../src/storage/open-storage.ts'

// An errand whose answer never comes, in a process of its own, to be killed: node egress-process.ts DATABASE
const storage = await openStorage({ url: process.argv[2] ?? '' })
const egress = createEgress({
  localOnly: false,
  fetch: () => {
    process.stdout.write('sent')
    return new Promise(() => {
      setInterval(() => {}, 1000)
    })
  },
  record: createLedger(storage).record,
  now: Date.now,
})
await egress
  .begin({ purpose: 'answer', provider: 'claude', model: 'claude-x' })
  .fetch('https://api.example.com/', { method: 'POST', body: 'secret' })
