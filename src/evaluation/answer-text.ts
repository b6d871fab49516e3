import type { ToolCall } from '../engine/provider.ts'

/** Calls of tools as a line each, for people who compare answers. */
export function formatCalls(calls: readonly Pick<ToolCall, 'name' | 'arguments'>[]): string {
  return calls.map(({ name, arguments: given }) => `${name}(${given})`).join('\n')
}
