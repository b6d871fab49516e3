/** What a `traceparent` header says (W3C Trace Context). */
export type TraceParent = Readonly<{ traceId: string; spanId: string; flags: number }>

const pattern = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/

/** Undefined for one that is to be ignored. Later versions may say more after what is known. */
export function readTraceParent(header: string): TraceParent | undefined {
  if (header.length > 200) return undefined
  const [, version = 'ff', traceId = '', spanId = '', flags = '', rest] = pattern.exec(header.trim()) ?? []
  const isKnown = version !== 'ff' && (version !== '00' || rest === undefined)
  if (!isKnown || /^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined
  // Of later versions only the flag that the first one knows.
  return { traceId, spanId, flags: Number.parseInt(flags, 16) & 1 }
}

export function writeTraceParent({
  traceId,
  spanId,
  flags,
}: Readonly<{ traceId: string; spanId: string; flags: string }>): string {
  return `00-${traceId}-${spanId}-${flags}`
}
