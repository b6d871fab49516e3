import { speaker } from '../shell/language.svelte.ts'
import { texts } from './texts.ts'

const say = speaker(texts)

export const sayDocuments = (count: number): string => (count === 1 ? say('oneDocument') : say('manyDocuments', { count }))
export const sayPassages = (count: number): string => (count === 1 ? say('onePassage') : say('manyPassages', { count }))
