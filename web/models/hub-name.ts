import { parseHubName } from '../../src/models/model-name.ts'

export type HubNameProblem = 'spaces' | 'owner' | 'manySlashes' | 'file' | 'tag' | 'letters'

/** What keeps a text from being a name of the hub; undefined where it is one, or nothing is written yet. */
export function hubNameProblem(text: string): HubNameProblem | undefined {
  const name = text.trim()
  if (name === '' || parseHubName(name) !== undefined) return undefined
  if (/\s/.test(name)) return 'spaces'
  const marked = /^(?:hf:|(?:https:\/\/)?(?:hf\.co|huggingface\.co)\/)/.test(name)
  const [location = '', ...tags] = name.replace(/^(?:hf:|https:\/\/)/, '').split(':')
  const parts = location.replace(/^(?:hf\.co|huggingface\.co)\//, '').split('/')
  if (parts.length < 2 || parts[0] === '' || parts[1] === '') return 'owner'
  if (tags.length > 0) return tags.length > 1 || !/^[\w.-]+$/.test(tags[0] ?? '') ? 'tag' : 'letters'
  if (/\.gguf$/i.test(location)) return marked ? 'letters' : 'file'
  return parts.length > 2 ? 'manySlashes' : 'letters'
}

export type Suggestion = Readonly<{ name: string; bytes: number; use: 'small' | 'better' | 'search' }>

/** What most people are well served with; sizes are about those of what is downloaded. */
export const suggestions: readonly Suggestion[] = [
  { name: 'Qwen/Qwen3-0.6B-GGUF', bytes: 640e6, use: 'small' },
  { name: 'Qwen/Qwen3-4B-GGUF', bytes: 2.5e9, use: 'better' },
  { name: 'nomic-ai/nomic-embed-text-v1.5-GGUF', bytes: 84e6, use: 'search' },
]
