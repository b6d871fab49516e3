import { existsSync } from 'node:fs'
import { open, readdir, readFile, rm, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { availableParallelism, freemem } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import Type from 'typebox'
import { Value } from 'typebox/value'
import { freeBytes } from '../engine/disk.ts'
import { readModelKind } from '../models/model-kind.ts'
import { findRecord } from '../models/verified-file.ts'
import type { Machine, ModelFile } from './doctor-checks.ts'
import type { Neighbours } from './doctor-shared.ts'
import { messageOf } from './message-of.ts'

/** Their code is loaded by who asks. */
const neighbours: Neighbours = {
  database: async (url) => (await import('../storage/look-at-database.ts')).lookAtDatabase(url),
  redis: async (url) => (await import('../redis/look-at-redis.ts')).lookAtRedis(url),
  refuseUnfinishedRestore: async (dataDir) => (await import('../backup/restore-backup.ts')).refuseUnfinishedRestore(dataDir),
}

/** What systems tell in ways of their own. */
type System = Readonly<{ platform: string; readText: (path: string) => Promise<string>; isThere: (path: string) => boolean }>

const thisSystem: System = {
  platform: process.platform,
  readText: (path) => readFile(path, 'utf8'),
  isThere: (path) => existsSync(path),
}

/** This machine, as `doctor` looks at it. */
export function thisMachine(system: System = thisSystem): Machine {
  return {
    nodeVersion: process.versions.node,
    platform: system.platform,
    arch: process.arch,
    isMusl: system.platform === 'linux' && !usesGlibc(),
    cores: availableParallelism(),
    cpuFlags: () => cpuFlags(system),
    availableMemory: () => availableMemory(system),
    freeBytes: async (folder) => freeBytes(await nearestFolder(folder)),
    whyNotWritable,
    whyNotLoadable,
    enginePackage,
    gpu: () => gpu(system),
    whyPortBlocked,
    modelFiles,
    ...neighbours,
  }
}

function usesGlibc(): boolean {
  // Otherwise the report looks up names in the network. The option is newer than its type.
  Object.assign(process.report, { excludeNetwork: true })
  return Value.Check(reportOfGlibc, process.report.getReport())
}

const reportOfGlibc = Type.Object({ header: Type.Object({ glibcVersionRuntime: Type.String() }) })

/** What Linux says of the first processor; empty elsewhere. */
async function cpuFlags({ readText }: System): Promise<string> {
  const text = await readText('/proc/cpuinfo').catch(() => '')
  return /^(?:flags|Features)\s*:\s*(.*)$/m.exec(text)?.[1] ?? ''
}

/** Memory that programs can still have: what is cached counts, a container's limit holds. */
async function availableMemory({ readText }: System): Promise<number> {
  const text = await readText('/proc/meminfo').catch(() => '')
  const kilobytes = /^MemAvailable:\s+(\d+) kB$/m.exec(text)?.[1]
  const free = kilobytes === undefined ? freemem() : Number(kilobytes) * 1024
  return Math.min(free, process.availableMemory())
}

async function nearestFolder(folder: string): Promise<string> {
  const path = resolve(folder)
  const parent = dirname(path)
  const isThere = await stat(path).then(
    () => true,
    () => false,
  )
  return isThere || parent === path ? path : nearestFolder(parent)
}

/**
 * Tries it, for what rights alone don't tell (a read-only disk, a full one); of a folder that is yet to be made, the one
 * that it will be made in.
 */
async function whyNotWritable(folder: string): Promise<string | undefined> {
  const probe = join(await nearestFolder(folder), `.doctor-${process.pid}`)
  return writeAndRemove(probe).then(() => undefined, messageOf)
}

async function writeAndRemove(path: string): Promise<void> {
  const file = await open(path, 'w')
  await file.close().finally(() => rm(path))
}

async function whyNotLoadable(name: string): Promise<string | undefined> {
  return import(name).then(
    () => undefined,
    (error: unknown) => messageOf(error).replace(/\n.*/s, ''),
  )
}

async function enginePackage() {
  try {
    const { findLibrary, packageName } = await import('../engine/local/libllama.ts')
    return { name: packageName('cpu'), isInstalled: findLibrary('cpu') !== undefined }
  } catch {
    // Without koffi, which has a finding of its own, not even the name can be asked for.
    return { name: '@node-llama-cpp', isInstalled: false }
  }
}

/** Linux shows its GPUs as files. On a Mac the libraries are in the engine's own package; Windows is not looked at. */
async function gpu({ platform, isThere }: System) {
  if (platform !== 'linux') return undefined
  const { findLibrary, packageVersion, packageName } = await import('../engine/local/libllama.ts')
  const variant = isThere('/dev/nvidiactl') ? 'cuda' : isThere('/dev/dri/renderD128') ? 'vulkan' : undefined
  if (variant === undefined) return undefined
  return { name: `${packageName(variant)}@${packageVersion}`, isInstalled: findLibrary(variant) !== undefined }
}

function whyPortBlocked(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error) => resolve(error.message))
    server.listen({ host, port }, () => server.close(() => resolve(undefined)))
  })
}

async function modelFiles(folder: string): Promise<readonly ModelFile[]> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.gguf')).sort()
  return Promise.all(names.map((name) => readModelFile(join(folder, name), name)))
}

/** The later files of a model that is split are read with its first. */
const laterPart = /-(?!00001)\d{5}-of-\d{5}\.gguf$/

async function problemOf(path: string): Promise<string | undefined> {
  if (laterPart.test(path)) return undefined
  return readModelKind(path).then(() => undefined, messageOf)
}

async function readModelFile(path: string, name: string): Promise<ModelFile> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    const isRecorded = (await findRecord(path)) !== undefined
    return { name, sizeBytes: size, problem: await problemOf(path), isRecorded }
  } finally {
    await file.close()
  }
}
