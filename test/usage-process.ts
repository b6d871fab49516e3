import { openStorage } from '../src/storage/open-storage.ts'
import { createMeter } from '../src/usage/meter.ts'

/** Lets requests of one user in, one after the other, and tells each; until it is killed. */
const [, , path = '', userId = ''] = process.argv
const { db } = await openStorage({ url: path })
const now = () => Date.UTC(2026, 0, 1)
const meter = createMeter({ db, now, defaults: { requestsPerDay: 0, tokensPerDay: 0 }, onFailure: console.error })
const asker = { key: `user:${userId}`, authenticated: true, userId, keyId: undefined }
const target = { provider: 'hf', model: 'm', ranOn: 'local' } as const
for (;;) {
  await meter.admit(asker, target)
  await meter.note(asker, target, { promptTokens: 2, completionTokens: 3, cachedPromptTokens: 0 })
  await new Promise<void>((resolve) => process.stdout.write('.', () => resolve()))
}
