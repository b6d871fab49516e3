/** Why something was called outside of this machine. */
export const egressPurposes = ['answer', 'token-count', 'probe', 'model-download', 'package-download', 'page-fetch'] as const
export type EgressPurpose = (typeof egressPurposes)[number]
