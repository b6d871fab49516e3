import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Type } from 'typebox'
import { Value } from 'typebox/value'

const about = Type.Object({ version: Type.String(), threads: Type.Integer() })
const added = Type.Object({ seconds: Type.Number(), bytes: Type.Number() })
const searched = Type.Object({ milliseconds: Type.Array(Type.Number()), found: Type.Array(Type.Array(Type.Integer())) })
const saved = Type.Object({ save: Type.Number(), load: Type.Number() })

/** FAISS in a process of a Python that has `faiss-cpu`. It reads the same file of vectors, of which the last are the queries. */
export async function openFaiss(python: string, data: Readonly<{ file: string; dimensions: number; queries: number }>) {
  const child = spawn(python, [fileURLToPath(new URL('faiss-peer.py', import.meta.url))], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()

  async function ask(request: Readonly<Record<string, unknown>>): Promise<unknown> {
    child.stdin.write(`${JSON.stringify(request)}\n`)
    const { value, done } = await lines.next()
    if (done === true) throw new Error(`${python} ended. Is faiss-cpu installed in it?`)
    return JSON.parse(value)
  }

  const { version, threads } = Value.Parse(about, await ask({ do: 'load', ...data }))
  return {
    version,
    threads,
    add: async (index: 'flat' | 'hnsw', options: Readonly<{ m?: number; expansion?: number }> = {}) =>
      Value.Parse(added, await ask({ do: 'add', index, ...options })),
    search: async (index: 'flat' | 'hnsw', k: number, candidates?: number) =>
      Value.Parse(searched, await ask({ do: 'search', index, k, ...(candidates === undefined ? {} : { candidates }) })),
    save: async (index: 'flat' | 'hnsw', file: string) => Value.Parse(saved, await ask({ do: 'save', index, file })),
    async close() {
      child.stdin.end()
      if (child.exitCode === null) await once(child, 'exit')
    },
  }
}

export type Faiss = Awaited<ReturnType<typeof openFaiss>>
