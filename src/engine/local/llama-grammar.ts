import { AppError } from '../../errors.ts'
import type { GrammarState } from './backend.ts'
import { createCandidates, type Llama, type Pointer } from './libllama.ts'

export interface LlamaGrammars {
  /** GBNF; `root`: the rule that it begins with. Throws `invalid` when the grammar does not parse. */
  create(grammar: string, root?: string): GrammarState
  /** After all of its grammars. */
  close(): void
}

/** The library's grammars over a vocabulary of so many tokens. */
export function createLlamaGrammars(llama: Llama, vocabulary: Pointer, vocabularySize: number): LlamaGrammars {
  const candidates = createCandidates(vocabularySize)
  const end = findEnd(llama, vocabulary, vocabularySize)
  return {
    create(grammar, root = 'root') {
      const sampler = llama.llama_sampler_init_grammar(vocabulary, grammar, root)
      if (sampler === null) throw new AppError('invalid', 'The grammar made from the schema is not one that llama.cpp can read.')
      const allowed = (tokens: readonly number[]) => {
        llama.llama_sampler_apply(sampler, candidates.fill(tokens))
        return tokens.map((_, index) => candidates.remains(index))
      }
      return {
        allowed,
        accept: (token) => llama.llama_sampler_accept(sampler, token),
        canEnd: () => end !== undefined && allowed([end])[0] === true,
        close: () => llama.llama_sampler_free(sampler),
      }
    },
    close: candidates.close,
  }
}

/** A token that ends an answer: the usual one, or else the first. */
function findEnd(llama: Llama, vocabulary: Pointer, size: number): number | undefined {
  const isEnd = (token: number) => llama.llama_vocab_is_eog(vocabulary, token)
  const usual = llama.llama_vocab_eos(vocabulary)
  if (usual >= 0 && isEnd(usual)) return usual
  return Array.from({ length: size }, (_, token) => token).find(isEnd)
}
