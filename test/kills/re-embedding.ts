// One of the processes that re-embed the collections of a database, to be killed: node re-embedding.ts DATABASE
import { openReEmbedding } from './re-embedding-world.ts'

const { reEmbedding, owner } = await openReEmbedding(process.argv[2] ?? '')
await reEmbedding.start(owner, 'default', 'next')
