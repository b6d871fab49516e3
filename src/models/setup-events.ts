/** What the set-up of a model tells while it works. */
export type SetupEvent =
  | Readonly<{ type: 'hub-unreachable'; reason: string }>
  | Readonly<{ type: 'download-start'; file: string; totalBytes: number; from: 'hub' | 'packages' }>
  | Readonly<{
      type: 'download-progress'
      receivedBytes: number
      totalBytes: number
      bytesPerSecond: number
      secondsLeft: number
    }>
  | Readonly<{ type: 'download-retry'; reason: string }>
  | Readonly<{ type: 'file-check'; file: string }>
  | Readonly<{ type: 'file-set-aside'; file: string }>
  | Readonly<{ type: 'setup-wait' }>
  | Readonly<{ type: 'model-ready'; file: string }>

export type Report = (event: SetupEvent) => void

/** Tells how fast bytes arrive, at most four times a second. */
export function createProgress({ report, now, totalBytes, fromBytes }: ProgressOptions) {
  const start = now()
  let toldAt = start
  return (receivedBytes: number) => {
    const time = now()
    if (time - toldAt < 250 && receivedBytes < totalBytes) return
    toldAt = time
    const bytesPerSecond = time > start ? ((receivedBytes - fromBytes) * 1000) / (time - start) : 0
    const secondsLeft = bytesPerSecond > 0 ? (totalBytes - receivedBytes) / bytesPerSecond : Number.POSITIVE_INFINITY
    report({ type: 'download-progress', receivedBytes, totalBytes, bytesPerSecond, secondsLeft })
  }
}

export type ProgressOptions = Readonly<{ report: Report; now: () => number; totalBytes: number; fromBytes: number }>
