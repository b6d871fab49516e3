/** What a line of llama.cpp's log says of a quantization. */
export type LogFinding =
  | Readonly<{ type: 'tensor'; tensor: number; tensors: number }>
  | Readonly<{ type: 'size'; bytes: number }>
  | Readonly<{ type: 'fallback'; tensors: number }>

/** The library tells its progress and results to its log alone. */
export function readLogLine(text: string): LogFinding | undefined {
  const [, tensor, tensors] = /^\[ *(\d+)\/ *(\d+)\]/.exec(text) ?? []
  if (tensor !== undefined) return { type: 'tensor', tensor: Number(tensor), tensors: Number(tensors) }
  const [, mebibytes] = /quant size +=\s*([\d.]+) MiB/.exec(text) ?? []
  if (mebibytes !== undefined) return { type: 'size', bytes: Number(mebibytes) * 1024 ** 2 }
  const [, fallback] = /(\d+) of \d+ tensor\(s\) required fallback/.exec(text) ?? []
  return fallback === undefined ? undefined : { type: 'fallback', tensors: Number(fallback) }
}
