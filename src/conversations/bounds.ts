/** Bounds of what is kept. */
export const conversationBounds = { titleCharacters: 200, systemCharacters: 100_000, attachments: 20, tools: 128 } as const
