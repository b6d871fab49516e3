/** What a download of a model tells while it works. Sizes are bytes. */
export type PullEvent =
  /** `file` is what will be installed, or the folder of a checkpoint. */
  | Readonly<{ type: 'download-start'; file: string; totalBytes: number; from: 'hub' | 'packages' }>
  | Readonly<{
      type: 'download-progress'
      receivedBytes: number
      totalBytes: number
      bytesPerSecond: number
      secondsLeft: number
    }>
  | Readonly<{ type: 'download-retry'; reason: string }>
  /** Somebody else downloads the same. */
  | Readonly<{ type: 'download-wait' }>
  | Readonly<{ type: 'file-check'; file: string }>
  /** Tensors of a checkpoint that is being made into a model. */
  | Readonly<{ type: 'convert-progress'; done: number; total: number }>
  /** The last event of a model: `file` is its (first) file, `name` what it is called from now on. */
  | Readonly<{ type: 'model-ready'; file: string; name: string }>
  /** The last event of a repository without a GGUF file: its checkpoint is in this folder. */
  | Readonly<{ type: 'checkpoint-ready'; folder: string; repository: string }>

/** What the set-up of a model tells while it works. */
export type SetupEvent =
  | PullEvent
  | Readonly<{ type: 'hub-unreachable'; reason: string }>
  | Readonly<{ type: 'file-set-aside'; file: string }>

export type Report = (event: SetupEvent) => void

const progressIntervalMs = 250
/** Speed is that of the last seconds, not of a night in which the line was down. */
const speedWindowMs = 10_000

/** Tells how fast bytes arrive, at most four times a second. */
export function createProgress({ report, now, totalBytes, fromBytes }: ProgressOptions) {
  const samples = [{ time: now(), bytes: fromBytes }]
  let toldAt = now()
  return (receivedBytes: number) => {
    const time = now()
    // The clock was put back: what was measured by it before tells nothing.
    if (time < toldAt) {
      samples.splice(0, samples.length, { time, bytes: receivedBytes })
      toldAt = time
    }
    if (time - toldAt < progressIntervalMs && receivedBytes < totalBytes) return
    toldAt = time
    samples.push({ time, bytes: receivedBytes })
    while (samples.length > 2 && time - (samples[1]?.time ?? time) > speedWindowMs) samples.shift()
    const { time: since, bytes: before } = samples[0] ?? { time, bytes: receivedBytes }
    const bytesPerSecond = time > since ? Math.max(0, ((receivedBytes - before) * 1000) / (time - since)) : 0
    const left = totalBytes - receivedBytes
    const secondsLeft = left === 0 ? 0 : bytesPerSecond > 0 ? left / bytesPerSecond : Number.POSITIVE_INFINITY
    report({ type: 'download-progress', receivedBytes, totalBytes, bytesPerSecond, secondsLeft })
  }
}

export type ProgressOptions = Readonly<{
  report: (event: PullEvent) => void
  now: () => number
  totalBytes: number
  fromBytes: number
}>
