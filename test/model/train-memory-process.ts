import { openTrainable } from '../../src/engine/train/open-trainable.ts'
import { adaptableModules } from '../../src/engine/train/trainable.ts'
import { batchOf, randomTokens } from '../tiny-models.ts'

// Tells the most memory that this process has had: with a model, rank, rows and length as arguments.
const [path = '', rank, rows, length] = process.argv.slice(2)
const model = await openTrainable({
  path,
  rank: Number(rank),
  alpha: 16,
  modules: adaptableModules,
  seed: 1,
  threads: 2,
  device: 'cpu',
  drops: false,
})
const texts = Array.from({ length: Number(rows) }, (_, row) => [randomTokens(Number(length), row)])
const batch = batchOf(texts)
await model.score(batch)
for (let run = 0; run < 2; run += 1) await model.differentiate(batch, new Float32Array(batch.targets.length).fill(1))
await model.close()
console.log(process.resourceUsage().maxRSS * 1024)
