// Copies a database into another one, to be killed: node transfer-process.ts FROM TO
import { openStorage } from '../src/storage/open-storage.ts'
import { copyDatabase } from '../src/storage/transfer/fill-database.ts'
import { readLayouts } from '../src/storage/transfer/layout.ts'

const [from = '', to = ''] = process.argv.slice(2)
const [source, target] = [await openStorage({ url: from }), await openStorage({ url: to })]
await copyDatabase(source, target, await readLayouts(), ({ table }) => process.stdout.write(`${table}\n`))
await target.close()
await source.close()
