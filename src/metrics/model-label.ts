/** Models that get a label of their own; a service that goes through more than these in its life counts the rest together. */
const mostModels = 64

/** What stands for models of clouds, and for those beyond the bound. */
export const otherModel = 'other'

/** Who has answered. The name of a local model is that of an installed file, never what a caller wrote. */
export type LabelledModel = Readonly<{ model: string; ranOn: 'local' | 'cloud' }>

/** Gives the label of a model: there are few of them, whatever callers send and however many models come and go. */
export function createModelLabels(): (target: LabelledModel) => string {
  const known = new Set<string>()
  return ({ model, ranOn }) => {
    if (ranOn !== 'local') return otherModel
    if (known.has(model)) return model
    if (known.size >= mostModels) return otherModel
    known.add(model)
    return model
  }
}
