import { language } from '../../shell/language.svelte.ts'
import { reasonTexts } from './texts.ts'

/** A reason or a flag in words; one that is not known here, by its name. */
export const sayReason = (name: string): string => reasonTexts[name]?.[language()] ?? name
