const units = ['B', 'KB', 'MB', 'GB', 'TB']

/** `241 MB`; in steps of 1024, like everything that shows sizes of models. */
export function formatBytes(bytes: number): string {
  const step = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10)))
  const amount = bytes / 1024 ** step
  return `${amount >= 10 || step === 0 ? Math.round(amount) : amount.toFixed(1)} ${units[step]}`
}

/** `45 s`, `3 min 10 s`, `2 h 5 min`; `?` for what is not known. */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?'
  const whole = Math.ceil(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
}

/** `$0.0123`, from millionths of a dollar; four digits after the point, as most answers cost less than a cent. */
export function formatDollars(microdollars: number): string {
  return `$${(microdollars / 1e6).toFixed(4)}`
}
