/** Why something was called outside of this machine. */
export const egressPurposes = [
  'answer',
  'token-count',
  'probe',
  'model-download',
  'package-download',
  'page-fetch',
  'telemetry',
] as const
export type EgressPurpose = (typeof egressPurposes)[number]
