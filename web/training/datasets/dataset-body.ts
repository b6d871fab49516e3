import type { DatasetBody } from '../../../src/datasets/schema.ts'

/** What is filled in; empty texts say nothing. */
export type DatasetForm = Readonly<{
  name: string
  method: 'sft' | 'dpo'
  rating: '' | 'up' | 'down'
  model: string
  user: string
  tags: string
  from: string
  to: string
  format: string
  heldOutPercent: number
  exclude: readonly string[]
}>

export const emptyForm: DatasetForm = {
  name: '',
  method: 'sft',
  rating: '',
  model: '',
  user: '',
  tags: '',
  from: '',
  to: '',
  format: '',
  heldOutPercent: 10,
  exclude: [],
}

/** What can be left out by its flag. */
export const excludables = ['duplicate', 'near-duplicate', 'other-answer', 'secret'] as const

export const formats = ['chat', 'prompt-completion', 'alpaca', 'sharegpt', 'preference', 'text'] as const

export function toFeedbackBody(form: DatasetForm): DatasetBody {
  const tags = form.tags
    .split(',')
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '')
  const excluded = excludables.filter((name) => form.exclude.includes(name))
  return {
    name: form.name.trim(),
    held_out: form.heldOutPercent / 100,
    ...(excluded.length === 0 ? {} : { exclude_flagged: excluded }),
    from_feedback: {
      method: form.method,
      ...(form.rating === '' ? {} : { rating: form.rating }),
      ...given('model', form.model),
      ...given('user', form.user),
      ...given('from', form.from),
      ...given('to', form.to),
      ...(tags.length === 0 ? {} : { tags }),
    },
  }
}

export function toUpload(form: DatasetForm, file: File, { isPreview }: Readonly<{ isPreview: boolean }>): FormData {
  const body = new FormData()
  body.set('name', form.name.trim())
  body.set('held_out', String(form.heldOutPercent / 100))
  if (form.format !== '') body.set('format', form.format)
  if (form.exclude.length > 0) body.set('exclude_flagged', form.exclude.join(','))
  if (isPreview) body.set('preview', 'true')
  body.set('file', file)
  return body
}

/** A name made of that of a file: without its ending, and with what names may have. */
export function nameOfFile(fileName: string): string {
  return fileName
    .replace(/\.[^.]*$/, '')
    .replace(/[^\p{L}\p{M}\p{N}._-]+/gu, '-')
    .replace(/^[^\p{L}\p{N}]+/u, '')
    .slice(0, 60)
}

function given<Name extends string>(name: Name, value: string): Partial<Record<Name, string>> {
  const text = value.trim()
  // The computed name is the one that was given.
  return text === '' ? {} : ({ [name]: text } satisfies Record<string, string> as Partial<Record<Name, string>>)
}
