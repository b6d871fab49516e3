import type { Language } from '../config/kinds.ts'
import type { Config } from '../config.ts'
import { type DoctorMessage, doctorMessages } from './doctor-messages.ts'
import type { Neighbours } from './doctor-shared.ts'
import { formatBytes } from './format.ts'
import { fill, type Values } from './language.ts'

export type Status = 'ok' | 'warn' | 'fail'
/** One thing that was looked at. `fix` says how to mend it. */
export type Finding = Readonly<{ check: string; status: Status; text: string; fix?: string }>

/** A model file as it lies in the folder. */
export type ModelFile = Readonly<{
  name: string
  sizeBytes: number
  /** Why it is no model that can be used, as far as its header tells. */
  problem: string | undefined
  isRecorded: boolean
}>

/** What `doctor` asks of a machine. Each answer that is a text is the reason why something does not work. */
export type Machine = Readonly<{
  nodeVersion: string
  platform: string
  arch: string
  isMusl: boolean
  cores: number
  cpuFlags: () => Promise<string>
  availableMemory: () => Promise<number>
  freeBytes: (folder: string) => Promise<number>
  whyNotWritable: (folder: string) => Promise<string | undefined>
  whyNotLoadable: (name: string) => Promise<string | undefined>
  /** The package with the engine's library for this platform. */
  enginePackage: () => Promise<Readonly<{ name: string; isInstalled: boolean }>>
  /** A GPU that the system shows, as far as it can be told, and the package with the engine's libraries for it. */
  gpu: () => Promise<Readonly<{ name: string; isInstalled: boolean }> | undefined>
  whyPortBlocked: (host: string, port: number) => Promise<string | undefined>
  modelFiles: (folder: string) => Promise<readonly ModelFile[]>
}> &
  Neighbours

const megabyte = 1024 ** 2

export type Tell = (check: string, status: Status, message: DoctorMessage, values?: Values, fix?: DoctorMessage) => Finding

export function createTell(language: Language): Tell {
  return (check, status, message, values, fix) => ({
    check,
    status,
    text: fill(doctorMessages[message], language, values),
    ...(fix === undefined ? {} : { fix: fill(doctorMessages[fix], language, values) }),
  })
}

/** Whether the program itself can run here, whatever its settings are. */
export async function checkProgram(machine: Machine, neededNode: string, tell: Tell): Promise<Finding[]> {
  const isNew = isAtLeast(machine.nodeVersion, neededNode)
  const values = { version: machine.nodeVersion, needed: neededNode }
  const node = isNew ? tell('node', 'ok', 'node', values) : tell('node', 'fail', 'node', values, 'nodeFix')
  const libraries = await Promise.all(
    ['koffi', 'better-sqlite3'].map(async (name) => {
      const reason = await machine.whyNotLoadable(name)
      if (reason === undefined) return tell(name, 'ok', 'library', { name })
      return tell(name, 'fail', 'libraryMissing', { name, reason }, 'libraryFix')
    }),
  )
  return [node, ...libraries, await checkEngine(machine, tell), await checkCpu(machine, tell), ...(await checkGpu(machine, tell))]
}

async function checkEngine(machine: Machine, tell: Tell): Promise<Finding> {
  const { name, isInstalled } = await machine.enginePackage()
  if (machine.isMusl) return tell('engine', 'fail', 'engineMusl', {}, 'engineFix')
  return isInstalled ? tell('engine', 'ok', 'engine', { name }) : tell('engine', 'fail', 'engineMissing', { name }, 'engineFix')
}

async function checkGpu(machine: Machine, tell: Tell): Promise<Finding[]> {
  const gpu = await machine.gpu()
  if (gpu === undefined) return []
  const { name, isInstalled } = gpu
  return [isInstalled ? tell('gpu', 'ok', 'gpu', { name }) : tell('gpu', 'warn', 'gpuUnused', { name }, 'gpuUnusedFix')]
}

async function checkCpu(machine: Machine, tell: Tell): Promise<Finding> {
  const flags = new Set((await machine.cpuFlags()).toLowerCase().split(/\s+/))
  const known = ['avx', 'avx2', 'fma', 'f16c', 'avx512f', 'amx_tile', 'neon', 'asimd', 'sve'].filter((flag) => flags.has(flag))
  const values = { cores: machine.cores, features: known.length === 0 ? machine.arch : known.join(' ') }
  const isSlow = machine.arch === 'x64' && machine.platform === 'linux' && !flags.has('avx2')
  return isSlow ? tell('cpu', 'warn', 'cpuSlow', values, 'cpuSlowFix') : tell('cpu', 'ok', 'cpu', values)
}

/** Whether the folders, models and keys that the settings name are usable. */
export async function checkPlaces(machine: Machine, config: Config, tell: Tell): Promise<Finding[]> {
  const files = await machine.modelFiles(config.modelsDir)
  const folders = [
    { env: 'DATA_DIR', folder: config.dataDir },
    { env: 'MODELS_DIR', folder: config.modelsDir },
  ]
  const places = await Promise.all(folders.map((place) => checkFolder(machine, place, tell)))
  return [
    ...places.flat(),
    ...checkModels(files, config, tell),
    await checkMemory(machine, files, tell),
    ...checkKeys(config, tell),
    ...(config.localOnly ? [tell('LOCAL_ONLY', 'ok', 'localOnly')] : []),
  ]
}

async function checkFolder(machine: Machine, { env, folder }: { env: string; folder: string }, tell: Tell): Promise<Finding[]> {
  const reason = await machine.whyNotWritable(folder)
  // Models may well lie on a disk that is read-only.
  const severity = env === 'MODELS_DIR' ? 'warn' : 'fail'
  if (reason !== undefined) return [tell(env, severity, 'folderBlocked', { folder, reason, env }, 'folderFix')]
  const free = await machine.freeBytes(folder)
  const values = { free: formatBytes(free), folder, env }
  const written = tell(env, 'ok', 'folder', values)
  if (free >= 1024 * megabyte) return [written, tell('disk', 'ok', 'disk', values)]
  return [written, tell('disk', free < 100 * megabyte ? 'fail' : 'warn', 'disk', values, 'diskFix')]
}

function checkModels(files: readonly ModelFile[], { modelsDir, localOnly, ...config }: Config, tell: Tell): Finding[] {
  const findings = files.map(({ name, sizeBytes, problem, isRecorded }) => {
    if (problem !== undefined) return tell('model', 'fail', 'modelDamaged', { name, problem }, 'modelDamagedFix')
    const checked = isRecorded ? tell('', 'ok', 'modelChecked').text : ''
    return tell('model', 'ok', 'model', { name, size: formatBytes(sizeBytes), checked })
  })
  if (files.length === 0) {
    const fix = localOnly ? 'modelNoneLocalFix' : 'modelNoneFix'
    return [tell('model', localOnly ? 'fail' : 'warn', 'modelNone', { folder: modelsDir }, fix)]
  }
  const names = files.map(({ name }) => name.replace(/\.gguf$/, ''))
  // Of another provider, it is no file.
  const defaultModel = config.llmProvider === 'hf' ? config.defaultModel : undefined
  if (defaultModel === undefined || names.includes(defaultModel.replace(/\.gguf$/, ''))) return findings
  return [...findings, tell('model', 'fail', 'modelUnknown', { name: defaultModel, names: names.join(', ') }, 'modelUnknownFix')]
}

async function checkMemory(machine: Machine, files: readonly ModelFile[], tell: Tell): Promise<Finding> {
  const free = await machine.availableMemory()
  const needed = Math.max(0, ...files.map(({ sizeBytes }) => sizeBytes))
  const values = { free: formatBytes(free), needed: formatBytes(needed) }
  // The weights, the state of conversations and the service itself.
  const enough = free > needed * 1.3 + 300 * megabyte
  return enough ? tell('memory', 'ok', 'memory', values) : tell('memory', 'warn', 'memory', values, 'memoryFix')
}

function checkKeys({ hfToken, anthropicApiKey, openaiApiKey }: Config, tell: Tell): Finding[] {
  const keys = [
    { env: 'HF_TOKEN', value: hfToken, prefix: 'hf_' },
    { env: 'ANTHROPIC_API_KEY', value: anthropicApiKey, prefix: 'sk-ant-' },
    { env: 'OPENAI_API_KEY', value: openaiApiKey, prefix: 'sk-' },
  ]
  return keys
    .filter(({ value }) => value !== undefined)
    .map(({ env, value, prefix }) =>
      value?.startsWith(prefix)
        ? tell('keys', 'ok', 'key', { env })
        : tell('keys', 'warn', 'keyOdd', { env, prefix }, 'keyOddFix'),
    )
}

function isAtLeast(version: string, needed: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [neededMajor = 0, neededMinor = 0] = needed.split('.').map(Number)
  return major > neededMajor || (major === neededMajor && minor >= neededMinor)
}
