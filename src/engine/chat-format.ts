/** How a model writes the calls of functions. Marks are what its tokens read as. */
export type CallSyntax =
  /** A JSON object (or several in a list) with the name and the arguments, between two marks; `close` may be empty. */
  | Readonly<{ type: 'json'; open: string; close: string; isList: boolean; argumentsKey: 'arguments' | 'parameters' }>
  /** The same without marks: the answer is one JSON object. `open` may stand before it, but need not. */
  | Readonly<{ type: 'bare'; open: string; argumentsKey: 'arguments' | 'parameters' }>
  /** The name, then the arguments as JSON; where `callId` is not empty, an id of the call may stand after it in between. */
  | Readonly<{ type: 'named'; open: string; callId: string; nameEnd: string; close: string }>
  /** `<function=name>` and `<parameter=name>` with a value that is JSON only where it is no text. */
  | Readonly<{ type: 'tagged'; open: string; close: string }>

/** What stands around that which a model thinks. `skipped` is written instead, at the start, when it does not think. */
export type ReasoningMarks = Readonly<{ open: string; close: string; skipped: string }>

/** What is known of how a model's template reads and what the model writes. */
export type ChatFormat = Readonly<{
  calls: CallSyntax
  /** Whether the template takes tools, calls and results; otherwise they are told in words. */
  takesTools: boolean
  /** Where the template looks for the tools in the system message, as text. */
  toolsInSystemMessage: boolean
  /** Whether ids of calls must be nine letters and digits. */
  shortCallIds: boolean
  reasoning: ReasoningMarks | undefined
  /** Whether the template can be told to make the model think, or not to. */
  reasoningIsOptional: boolean
}>

/** Calls of models that were not trained to write any in a known form. */
export const genericCalls: CallSyntax = { type: 'bare', open: '', argumentsKey: 'arguments' }

/** Reads a chat template for the marks of the families that are known. Undefined: a model without one. */
export function detectChatFormat(template: string | undefined): ChatFormat {
  const has = (mark: string) => template?.includes(mark) ?? false
  const calls = detectCalls(has)
  return {
    calls: calls ?? genericCalls,
    takesTools: calls !== undefined,
    toolsInSystemMessage: calls !== undefined && has('<|tool|>') && has("message['tools']"),
    shortCallIds: has('[TOOL_CALLS]'),
    reasoning: reasoningMarks.find(({ open, close }) => has(open) || has(close)),
    reasoningIsOptional: has('enable_thinking'),
  }
}

const hermesMarks = { open: '<tool_call>', close: '</tool_call>' }
const phiMarks = { open: '<|tool_call|>', close: '<|/tool_call|>' }

function detectCalls(has: (mark: string) => boolean): CallSyntax | undefined {
  const json = { type: 'json', argumentsKey: 'arguments' } as const
  if (!has('tools')) return undefined
  // Mistral: since 2025 the name stands before the arguments.
  if (has('[TOOL_CALLS]')) {
    return has('[ARGS]')
      ? { type: 'named', open: '[TOOL_CALLS]', callId: '[CALL_ID]', nameEnd: '[ARGS]', close: '' }
      : { ...json, open: '[TOOL_CALLS]', close: '', isList: true }
  }
  // Two families use the marks of Hermes for something else inside.
  if (has('<tool_call>') && !has('<arg_key>') && !has('<tool_calls>'))
    return has('<function=') ? { type: 'tagged', ...hermesMarks } : { ...json, ...hermesMarks, isList: false }
  if (has('<|tool_call|>')) {
    return has('<|/tool_call|>') ? { ...json, ...phiMarks, isList: false } : { ...json, ...phiMarks, close: '', isList: true }
  }
  if (has('<|tool|>') && has("message['tools']")) return { ...json, ...phiMarks, isList: true }
  if (has('<function=') && has('</function>') && !has('tool_call>'))
    return { type: 'named', open: '<function=', callId: '', nameEnd: '>', close: '</function>' }
  if (has('<|start_header_id|>') && has('"parameters": ') && has('ipython'))
    return { type: 'bare', open: '<|python_tag|>', argumentsKey: 'parameters' }
  return undefined
}

const reasoningMarks: readonly ReasoningMarks[] = [
  { open: '<think>', close: '</think>', skipped: '' },
  { open: '[THINK]', close: '[/THINK]', skipped: '' },
  { open: '<seed:think>', close: '</seed:think>', skipped: '' },
  {
    open: '<|channel|>analysis<|message|>',
    close: '<|end|><|start|>assistant<|channel|>final<|message|>',
    skipped: '<|channel|>final<|message|>',
  },
]
