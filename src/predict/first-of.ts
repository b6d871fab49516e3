import type { ChosenModel, Provider } from '../engine/provider.ts'
import { type Candidate, type Choice, canPassOn, type Providers } from '../engine/providers.ts'
import { AppError } from '../errors.ts'
import type { Asker, ChooseRequest, PassedBy, Rollouts, Target } from './predict.ts'

/** The candidate whose turn it is. */
export type Asked = Readonly<{ provider: Provider; model: ChosenModel; target: Target }>

type Ask<T> = (asked: Asked) => Promise<T>

export type ChoosingParts = Readonly<{ providers: Pick<Providers, 'choose'>; rollouts: Rollouts | undefined }>

/**
 * Gives what the first candidate gives that can; the next one is asked where `canPassOn` says that it may do better. A model that a rollout
 * has drawn is asked before all others, and whatever stops it, the one that was in use before answers: nobody pays for the trial of another.
 */
export async function firstOf<T>(
  { providers, rollouts }: ChoosingParts,
  wanted: ChooseRequest,
  asker: Asker | undefined,
  ask: Ask<T>,
): Promise<T> {
  const drawn = await rollouts?.choose(wanted, asker)
  if (rollouts === undefined || drawn === undefined) return askInTurn(await providers.choose(wanted), { passedBy: [] }, ask)
  const why = wanted.model === undefined ? 'default' : 'requested'
  const { rolloutId, otherwise, provider, model } = drawn
  try {
    const told = { passedBy: [], ...(rolloutId === undefined ? {} : { rolloutId }) }
    return await askInTurn({ ...(await providers.choose({ provider, model })), why }, told, ask)
  } catch (error) {
    if (otherwise === undefined || !(error instanceof AppError) || error.code === 'aborted') throw error
    const passedBy = [{ provider, model, code: error.code }]
    const answer = await askInTurn({ ...(await providers.choose(otherwise)), why }, { passedBy }, ask)
    // Only now: where neither can answer, it is the request that is wrong.
    if (rolloutId !== undefined) rollouts.passedBy(rolloutId, { provider, model }, error.code)
    return answer
  }
}

type Told = Pick<Target, 'passedBy' | 'rolloutId'>

async function askInTurn<T>({ candidates, why }: Choice, told: Told, ask: Ask<T>): Promise<T> {
  const passedBy: PassedBy[] = [...told.passedBy]
  for (const [index, candidate] of candidates.entries()) {
    let model: ChosenModel | undefined
    try {
      model = await candidate.choose()
      return await ask(toAsked(candidate, model, { ...told, why, passedBy }))
    } catch (error) {
      if (!canPassOn(error, candidates.slice(index + 1))) throw error
      passedBy.push({ provider: candidate.provider.name, model: model?.name, code: error.code })
    }
  }
  throw new AppError('internal', 'A choice of providers is empty.')
}

function toAsked({ provider }: Candidate, model: ChosenModel, told: Told & Pick<Target, 'why'>): Asked {
  const why = told.passedBy.length > 0 ? 'fallback' : told.why
  const target = { ...told, provider: provider.name, model: model.name, ranOn: provider.ranOn, why, passedBy: [...told.passedBy] }
  return { provider, model, target }
}
