import { createRandom } from '../src/engine/local/random.ts'

/** Common words: nearly every vocabulary has one token for each, with the space before it. */
const words = (
  'the of and to in is was for that on with as it at by from his an were are which this be had also but has one not have her ' +
  'first they their she who been its after all other two when there into can may more time would year some only where most about ' +
  'city world people between during over such state made many later use three school through then team was game while around life ' +
  'work music film group house book number family day part place water national under second system government university named area ' +
  'early found home public local river church small large general long great left high end company north south east west line ' +
  'power history king court country member president party field season century island police service language village'
).split(' ')

/** Pieces of text of a wanted length, each unlike all others, the same for the same seed. */
export type Prompts = Readonly<{
  /** About so many tokens, the beginning-of-text token included. */
  text(tokens: number): string
  /** A passage twice, and its first line once more: a model that completes text goes on with the passage. */
  repeated(tokens: number): string
}>

export function createPrompts(seed: number): Prompts {
  const random = createRandom(seed)
  const word = () => words[Math.floor(random() * words.length)] ?? 'the'
  const text = (tokens: number) => Array.from({ length: Math.max(1, tokens - 1) }, word).join(' ')
  return {
    text,
    repeated(tokens) {
      const lines = Array.from({ length: Math.ceil(tokens / lineTokens) }, () => `${text(lineTokens)}.`)
      const passage = lines.join('\n')
      return `${passage}\n\n${passage}\n\n${lines[0] ?? ''}\n`
    },
  }
}

const lineTokens = 15
