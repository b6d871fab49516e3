import { sql } from 'kysely'
import { isPostgres } from './dialect.ts'
import { createWordsFunction } from './postgres-search.ts'
import type { Database } from './tables.ts'

/** Headings above a passage of more characters than this are looked at by their beginning. */
const sectionCharacters = 10_000
/** New words wait in a list that each search reads; it is kept short. */
const pendingKilobytes = 256

/*
 * The words of passages are kept apart from the texts, as in SQLite, and triggers keep both in step in the same transaction. Each list of
 * words holds the id of the collection, too, between those of the headings (of weight A) and those of the text: the index finds the
 * words of one collection without those of others, and no phrase goes from the headings into the text. No word looks like an id.
 */
const statements = [
  `create function simpleia_passage_words(collection_id text, section text, content text) returns tsvector
    language sql immutable parallel safe
    return setweight(simpleia_words(left(coalesce(section, ''), ${sectionCharacters})), 'A')
      || (quote_literal(collection_id) || ':1')::tsvector || simpleia_words(content)`,

  `create table passage_words (
    passage_id bigint primary key,
    collection_id text collate "C" not null,
    words tsvector not null,
    -- How many they are, each as often as it is there.
    length integer not null)`,
  `create index passage_words_words on passage_words using gin (words) with (gin_pending_list_limit = ${pendingKilobytes})`,

  `create table collection_words (
    collection_id text collate "C" primary key references collections (id) on delete cascade,
    passages bigint not null,
    length bigint not null)`,

  `create function simpleia_learn_words() returns trigger language plpgsql as $$
  begin
    with learned as (
      insert into passage_words (passage_id, collection_id, words, length)
      select id, collection_id, words, (select sum(cardinality(positions)) - 1 from unnest(words))
      from (
        select id, collection_id, simpleia_passage_words(collection_id, section, text) as words from added offset 0
      ) as passages
      returning passage_words.collection_id, passage_words.length)
    insert into collection_words as known (collection_id, passages, length)
    select collection_id, count(*), sum(length) from learned group by collection_id
    on conflict (collection_id) do update
      set passages = known.passages + excluded.passages, length = known.length + excluded.length;
    return null;
  end $$`,

  `create function simpleia_forget_words() returns trigger language plpgsql as $$
  begin
    with forgotten as (
      delete from passage_words using removed where passage_words.passage_id = removed.id
      returning passage_words.collection_id, passage_words.length),
    sums as (select collection_id, count(*) as passages, sum(length) as length from forgotten group by collection_id)
    update collection_words as known set passages = known.passages - sums.passages, length = known.length - sums.length
    from sums where known.collection_id = sums.collection_id;
    return null;
  end $$`,

  `create trigger passages_words_insert after insert on passages referencing new table as added
    for each statement execute function simpleia_learn_words()`,
  `create trigger passages_words_delete after delete on passages referencing old table as removed
    for each statement execute function simpleia_forget_words()`,
  // In the order of their names.
  `create trigger passages_words_update_1 after update on passages referencing old table as removed
    for each statement execute function simpleia_forget_words()`,
  `create trigger passages_words_update_2 after update on passages referencing new table as added
    for each statement execute function simpleia_learn_words()`,
] as const

export async function createPassagesWords(db: Database): Promise<void> {
  await createWordsFunction(db)
  for (const statement of statements) await sql.raw(statement).execute(db)
}

/**
 * Metadata, as it is kept, as PostgreSQL's JSON: what JSON writes as an escape and PostgreSQL has no character for becomes what
 * `escapeNul` makes of it, or U+FFFD for half a surrogate pair, which nobody can ask for.
 */
export async function createMetadataFunction(db: Database): Promise<void> {
  // An escape begins with a backslash before which there is an even number of them.
  const escaped = (hex: string) => `'(?<!\\\\)((?:\\\\\\\\)*)\\\\u${hex}'`
  const withoutNul = `regexp_replace($1, ${escaped('0000')}, U&'\\\\1\\FFFE0', 'g')`
  const whole = `regexp_replace(${withoutNul}, ${escaped('d[89a-f][0-9a-f]{2}')}, U&'\\\\1\\FFFD', 'g')`
  await sql
    .raw(`create function simpleia_metadata(text) returns jsonb language sql immutable strict parallel safe
      return (case when strpos($1, '\\u') > 0 then ${whole} else $1 end)::jsonb`)
    .execute(db)
}

/**
 * The vectors of one collection and model are found together, and an index can be made for them alone, so each row says which
 * collection it is of. A trigger tells it, so that rows are written as in SQLite.
 */
export async function addCollectionOfVectors(db: Database): Promise<void> {
  const all = [
    `alter table vectors add column collection_id text collate "C" not null`,
    `create function simpleia_collection_of_vector() returns trigger language plpgsql as $$
    begin
      new.collection_id := (select collection_id from passages where id = new.passage_id);
      return new;
    end $$`,
    `create trigger vectors_collection before insert on vectors for each row execute function simpleia_collection_of_vector()`,
    'create index vectors_space on vectors (collection_id, model, passage_id)',
  ]
  for (const statement of all) await sql.raw(statement).execute(db)
}

/** What the graphs of pgvector are called, each by the collection and model of its vectors. */
export const graphPrefix = 'vectors_graph_'

/**
 * A vector that is added to a large space first waits outside of its graph: to take it in costs milliseconds, and whoever writes has the
 * turn of all. Graphs of before, which hold all, go, and are made again.
 */
export async function addWaitingVectors(db: Database): Promise<void> {
  if (!isPostgres(db)) return
  const digest = `encode(sha256(convert_to(new.collection_id || ':' || new.model, 'UTF8')), 'hex')`
  const all = [
    'alter table vectors add column awaits_graph boolean not null default false',
    'create index vectors_awaiting on vectors (collection_id, model, passage_id) where awaits_graph',
    `create or replace function simpleia_collection_of_vector() returns trigger language plpgsql as $$
    begin
      new.collection_id := (select collection_id from passages where id = new.passage_id);
      new.awaits_graph := to_regclass('${graphPrefix}' || left(${digest}, 16)) is not null;
      return new;
    end $$`,
    `do $$ declare name text; begin
      for name in select relname from pg_class where relkind = 'i' and relname like 'vectors_near_%' loop
        execute format('drop index %I', name);
      end loop;
    end $$`,
  ]
  for (const statement of all) await sql.raw(statement).execute(db)
}
