import { expect, test } from 'vitest'
import type { ListedModel, ModelAnswer, ProviderList } from '../../src/client.ts'
import { findChoice, listChoices, searchChoices, withChoice } from '../../web/chat/head/choices.ts'

const model = (name: string, more: Partial<ListedModel> = {}): ListedModel => {
  const rest = { aliases: [], selected: false, loaded: false, memory_bytes: 0, active: 0, queued: 0, requests_served: 0 }
  return { name, kind: 'chat', state: 'unloaded', ...rest, ...more }
}
const models = [
  model('gemma', { state: 'ready', aliases: ['small'] }),
  model('gemma+recipes'),
  model('a+b'),
  model('minilm', { kind: 'embedding' }),
  model('recipes', { kind: 'adapter' }),
]
const providers: ProviderList = {
  providers: [
    { name: 'hf', ran_on: 'local', selected: true, models: [] },
    { name: 'claude', ran_on: 'cloud', selected: false, models: ['opus', 'haiku'] },
    { name: 'custom', ran_on: 'local', selected: false, models: [] },
  ],
  routes: ['careful'],
}
const selected: ModelAnswer = { model_name: 'gemma', provider: 'hf', ran_on: 'local', loaded: true, state: 'ready' }
const choices = listChoices({ models, providers, selected })

test('who can answer: the selected one, chat models, adapters on their bases, routes, and models elsewhere', () => {
  expect(choices.map(({ kind, name, adapter, chosen }) => [kind, name, adapter, chosen])).toEqual([
    ['service', 'gemma', undefined, {}],
    ['installed', 'gemma', undefined, { model: 'gemma' }],
    ['installed', 'gemma', 'recipes', { model: 'gemma+recipes' }],
    ['installed', 'a+b', undefined, { model: 'a+b' }],
    ['route', 'careful', undefined, { model: 'careful' }],
    ['elsewhere', 'opus', undefined, { model: 'opus', provider: 'claude' }],
    ['elsewhere', 'haiku', undefined, { model: 'haiku', provider: 'claude' }],
    ['elsewhere', 'custom', undefined, { provider: 'custom' }],
  ])
  expect(choices.map(({ ranOn }) => ranOn === 'cloud')).toEqual([false, false, false, false, false, true, true, false])
})

test('the default has the state of the model that is selected', () => {
  expect(choices[0]?.model?.state).toBe('ready')
  const elsewhere = listChoices({ models, providers, selected: { ...selected, provider: 'claude', ran_on: 'cloud' } })
  expect(elsewhere[0]).toMatchObject({ model: undefined, ranOn: 'cloud', provider: 'claude' })
})

test('a conversation finds the one that it has chosen, by an alias, too; what is not there any more is named', () => {
  expect(findChoice(choices, {}).kind).toBe('service')
  expect(findChoice(choices, { model: 'small' }).name).toBe('gemma')
  expect(findChoice(choices, { model: 'gemma', provider: 'hf' }).kind).toBe('installed')
  expect(findChoice(choices, { model: 'opus', provider: 'claude' }).ranOn).toBe('cloud')
  expect(findChoice(choices, { model: 'opus' })).toMatchObject({ kind: 'gone', name: 'opus' })
})

test('a search finds by all words of names, adapters and providers', () => {
  const names = (search: string) => searchChoices(choices, search).map(({ chosen }) => chosen.model)
  expect(names('gem rec')).toEqual(['gemma+recipes'])
  expect(names('CLAUDE')).toEqual(['opus', 'haiku'])
})

test('choosing leaves the other settings as they are', () => {
  const settings = { model: 'opus', provider: 'claude', temperature: 0.2 }
  expect(withChoice(settings, { model: 'gemma' })).toEqual({ model: 'gemma', temperature: 0.2 })
  expect(withChoice(settings, {})).toEqual({ temperature: 0.2 })
})
