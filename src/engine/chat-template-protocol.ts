/** What the process is asked for: plain data only, as nothing else may be in a template's reach. */
export type ToTemplateWorker = Readonly<{
  template: string
  variables: Readonly<Record<string, unknown>>
  timeLimitMs: number
  /** Characters of the rendered text. */
  maxLength: number
}>

export const templateFailures = ['raised', 'template', 'rendering', 'too-long', 'too-slow'] as const

/** How it went. `raised`: the template refused the conversation in its own words. `template`: it is no valid template. */
export type FromTemplateWorker =
  | Readonly<{ type: 'rendered'; text: string }>
  | Readonly<{ type: 'failed'; reason: (typeof templateFailures)[number]; message: string }>
