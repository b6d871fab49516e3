import { type RawBuilder, type SqlBool, sql } from 'kysely'

/** For `where`: the process that did what the row tells of has gone. Rows of before there were instances have none. */
export const isOrphaned: RawBuilder<SqlBool> = sql`(instance_id is null or instance_id not in (select instances.id from instances))`
