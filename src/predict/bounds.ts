/** What is used where a request says nothing. The schema names them, so that the API's description shows them. */
export const predictDefaults = {
  maxTokens: 512,
  choices: 1,
  temperature: 0.8,
  topP: 0.95,
  topK: 40,
  minP: 0.05,
  repeatPenalty: 1,
} as const

/** Bounds that every way to ask shares: /predict, the WebSocket and the dialects. */
export const predictBounds = {
  promptCharacters: 400_000,
  /** Of a conversation. Those of long sessions with tools have thousands. */
  messages: 10_000,
  /** Of one message, and of what stands inside them. */
  messageParts: 2000,
  maxTokens: 1_048_576,
  choices: 16,
  temperature: 2,
  topK: 1000,
  repeatPenaltyMin: 0.5,
  repeatPenaltyMax: 2,
  seed: 2 ** 32 - 1,
  stopTexts: 16,
  stopCharacters: 256,
} as const
