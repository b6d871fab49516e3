/** Bounds of what is kept. */
export const conversationBounds = { titleCharacters: 200, systemCharacters: 100_000, attachments: 20, tools: 128 } as const

/** How models of this machine answer where nothing was chosen: calmly, which suits small ones. Clouds are told what was chosen alone. */
export const conversationDefaults = {
  maxTokens: 1024,
  temperature: 0.7,
  topP: 0.95,
  topK: 40,
  minP: 0.05,
  repeatPenalty: 1.1,
} as const
