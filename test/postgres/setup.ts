import { openStorage } from '../../src/storage/open-storage.ts'
import { askServer, templateDatabase, urlOf } from './database-at.ts'
import { isPostgresThere, startPostgres } from './server.ts'

/** One server for all files of the project `postgres`, with a database that has all tables, to copy. */
export default async () => {
  if (!isPostgresThere()) return
  const server = await startPostgres()
  await askServer(server.url, (client) => client.query(`create database ${templateDatabase}`))
  await (await openStorage({ url: urlOf(server.url, templateDatabase) })).close()
  process.env.TEST_POSTGRES_URL = server.url
  return () => server[Symbol.asyncDispose]()
}
