// What the families of embedding models want before a text, as their cards on the hub say. A model that says so itself
// (`prompts` in its config_sentence_transformers.json) needs no row here.

export type Prefixes = Readonly<{ query: string; document: string }>

const retrieval = 'Represent this sentence for searching relevant passages: '
const instruct = 'Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:'

/** The first row whose pattern fits counts; the name is that of the repository and of the file. */
const families: ReadonlyArray<Readonly<{ pattern: RegExp; prefixes: Prefixes; source: string }>> = [
  {
    pattern: /\be5-.*instruct/,
    prefixes: { query: `${instruct} `, document: '' },
    source: 'https://huggingface.co/intfloat/multilingual-e5-large-instruct',
  },
  {
    pattern: /\be5-/,
    prefixes: { query: 'query: ', document: 'passage: ' },
    source: 'https://huggingface.co/intfloat/e5-small-v2',
  },
  {
    pattern: /nomic-embed-text/,
    prefixes: { query: 'search_query: ', document: 'search_document: ' },
    source: 'https://huggingface.co/nomic-ai/nomic-embed-text-v1.5',
  },
  {
    pattern: /\bbge-(small|base|large)-en/,
    prefixes: { query: retrieval, document: '' },
    source: 'https://huggingface.co/BAAI/bge-small-en-v1.5',
  },
  {
    pattern: /\bbge-(small|base|large)-zh/,
    prefixes: { query: '为这个句子生成表示以用于检索相关文章：', document: '' },
    source: 'https://huggingface.co/BAAI/bge-small-zh-v1.5',
  },
  {
    pattern: /qwen3-embedding/,
    prefixes: { query: instruct, document: '' },
    source: 'https://huggingface.co/Qwen/Qwen3-Embedding-0.6B',
  },
  {
    pattern: /mxbai-embed-large/,
    prefixes: { query: retrieval, document: '' },
    source: 'https://huggingface.co/mixedbread-ai/mxbai-embed-large-v1',
  },
  {
    pattern: /snowflake-arctic-embed-[ml]-v2/,
    prefixes: { query: 'query: ', document: '' },
    source: 'https://huggingface.co/Snowflake/snowflake-arctic-embed-m-v2.0',
  },
  {
    pattern: /snowflake-arctic-embed/,
    prefixes: { query: retrieval, document: '' },
    source: 'https://huggingface.co/Snowflake/snowflake-arctic-embed-s',
  },
  {
    pattern: /embeddinggemma/,
    prefixes: { query: 'task: search result | query: ', document: 'title: none | text: ' },
    source: 'https://huggingface.co/google/embeddinggemma-300m',
  },
]

/** Nothing is put before the texts of a model of no known family. */
export function prefixesOf(name: string): Prefixes {
  return families.find(({ pattern }) => pattern.test(name.toLowerCase()))?.prefixes ?? { query: '', document: '' }
}
