import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Evaluation } from '../../src/engine/local/evaluation.ts'
import { calibrate, createImportanceCollector } from '../../src/engine/local/importance-matrix.ts'
import type { QuantizeParameters, Tensor } from '../../src/engine/local/libllama-quantize.ts'
import { measureModels } from '../../src/engine/local/measure-model.ts'
import { quantizeFile } from '../../src/engine/local/quantize-file.ts'
import { readLogLine } from '../../src/engine/local/quantize-log.ts'
import type { MeasureEvent, QuantizeEvent } from '../../src/engine/local/quantize-protocol.ts'
import { createMean, klDivergence, normalize } from '../../src/engine/local/token-scores.ts'

describe('scores', () => {
  const scores = fc.array(fc.float({ min: -50, max: 50, noNaN: true }), { minLength: 2, maxLength: 50 })

  test('are normalized as the definition says', () => {
    fc.assert(
      fc.property(scores, (values) => {
        const { top, logSum } = normalize(Float32Array.from(values))
        expect(values[top]).toBe(Math.max(...values))
        expect(logSum).toBeCloseTo(Math.log(values.reduce((sum, value) => sum + Math.exp(value), 0)), 8)
      }),
    )
  })

  test('are at no distance from themselves, and at one of at least zero from others', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.float({ min: -8, max: 8, noNaN: true }), fc.float({ min: -8, max: 8, noNaN: true })), {
          minLength: 2,
        }),
        (pairs) => {
          const [one, other] = [0, 1].map((side) => Float32Array.from(pairs.map((pair) => pair[side] ?? 0)))
          if (one === undefined || other === undefined) return
          const [first, second] = [normalize(one).logSum, normalize(other).logSum]
          expect(klDivergence(one, first, one, first)).toBeCloseTo(0, 10)
          expect(klDivergence(one, first, other, second)).toBeGreaterThan(-1e-6)
        },
      ),
    )
  })

  test('have a known distance: a fair coin from one that falls on one side three times in four', () => {
    const [fair, loaded] = [Float32Array.of(0, 0), Float32Array.of(Math.log(3), 0)]
    const distance = klDivergence(fair, normalize(fair).logSum, loaded, normalize(loaded).logSum)
    expect(distance).toBeCloseTo(0.5 * Math.log(0.5 / 0.75) + 0.5 * Math.log(0.5 / 0.25), 6)
  })

  test('have a mean with its standard error', () => {
    const mean = createMean()
    for (const value of [1, 2, 3, 4]) mean.add(value)
    expect([mean.count(), mean.mean(), mean.error()]).toEqual([4, 2.5, Math.sqrt(1.25 / 3)])
  })
})

/** A model of four tokens that always has the same scores; tokens are the digits of a text. */
function scriptedModel(scores: readonly number[]): Evaluation & { rows: Array<readonly [number, number, unknown]> } {
  const rows: Array<readonly [number, number, unknown]> = []
  return {
    rows,
    vocabularySize: scores.length,
    firstToken: undefined,
    quantization: 'scripted',
    weightBytes: 100,
    parameters: 100,
    tokenize: (text) => Array.from(text, Number),
    clear: () => void rows.splice(0),
    evaluate: (tokens, position, outputs) => void rows.push([tokens.length, position, outputs]),
    scores: () => Float32Array.from(scores),
    close() {},
  }
}

describe('measuring', () => {
  const measure = (text: string, ...models: Evaluation[]) => {
    const events: MeasureEvent[] = []
    const waiting = [...models]
    const job = { original: 'a', result: models.length > 1 ? 'b' : undefined, text, threads: 1 }
    let time = 0
    const open = () => waiting.shift() ?? scriptedModel([0])
    const measurement = measureModels(job, { open, send: (event) => void events.push(event), now: () => (time += 500) })
    return { measurement, events }
  }

  test('a model that knows nothing is as surprised as its vocabulary is large', () => {
    const { measurement, events } = measure('0123'.repeat(256), scriptedModel([0, 0, 0, 0]))
    expect(measurement.original.perplexity).toBeCloseTo(4, 10)
    expect(measurement).toMatchObject({ chunks: 2, scoredTokens: 510, result: undefined })
    expect(measurement.original).toMatchObject({ bitsPerWeight: 8, tokensPerSecond: 64 })
    expect(events).toEqual([
      { type: 'measure-progress', chunk: 1, chunks: 2 },
      { type: 'measure-progress', chunk: 2, chunks: 2 },
    ])
  })

  test('compares a model with its original, token by token', () => {
    const { measurement } = measure('0'.repeat(64), scriptedModel([0, 0, 0, 0]), scriptedModel([Math.log(2), 0, 0, 0]))
    expect(measurement.result?.perplexity).toBeCloseTo(5 / 2, 6)
    expect(measurement.result?.klDivergence).toBeCloseTo(0.25 * Math.log(0.25 / 0.4) + 0.75 * Math.log(0.25 / 0.2), 6)
    expect(measurement).toMatchObject({ scoredTokens: 31, result: { topAgreement: 1 } })
  })

  test('asks for scores of few rows at a time, and of the second half only', () => {
    const model = scriptedModel([0, 0])
    const rows: Array<readonly [number, number, unknown]> = []
    const evaluate = (tokens: readonly number[], position: number, outputs: unknown) =>
      void rows.push([tokens.length, position, outputs])
    measure('01'.repeat(256), { ...model, evaluate })
    expect(rows.slice(0, 5)).toEqual([
      [256, 0, false],
      [64, 256, true],
      [64, 320, true],
      [64, 384, true],
      [63, 448, true],
    ])
  })

  test('refuses a text that is too short, and models with other vocabularies', () => {
    expect(() => measure('0123', scriptedModel([0, 0]))).toThrow(/4 tokens; at least 64/)
    expect(() => measure('0'.repeat(99), scriptedModel([0, 0]), scriptedModel([0]))).toThrow(/different vocabularies/)
  })
})

describe('a quantization', () => {
  const job = { source: 'a.gguf', target: 'b.part', quantization: 'Q4_K_M', calibrationText: undefined, threads: 2 } as const
  type Log = (level: number, text: string) => void

  function run(quantize: (parameters: QuantizeParameters, log: Log) => boolean, { free = 1e12, text = '' } = {}) {
    const events: QuantizeEvent[] = []
    let log: Log = () => {}
    quantizeFile(text === '' ? job : { ...job, calibrationText: text }, {
      quantize: (parameters) => quantize(parameters, log),
      calibrate: () => new Map([['blk.0.attn_k.weight', Float32Array.of(1, 2)]]),
      onLog: (listener) => {
        log = listener
      },
      freeBytes: () => free,
      send: (event) => void events.push(event),
    })
    return events
  }

  test('tells its progress from the log of the library', () => {
    const events = run(({ dryRun }, log) => {
      log(2, '[   1/ 236] output_norm.weight - [ 640, 1, 1, 1], type = f32, ')
      log(2, 'size = 0.002 MiB\n')
      if (dryRun) log(2, 'llama_model_quantize_impl: quant size  =   235.16 MiB (7.36 BPW)\n')
      if (dryRun) log(3, 'llama_model_quantize_impl: WARNING: 90 of 236 tensor(s) required fallback quantization\n')
      return true
    })
    expect(events).toEqual([
      { type: 'tensor-progress', tensor: 1, tensors: 236 },
      { type: 'quantize-end', fallbackTensors: 90 },
    ])
  })

  test('uses the importance matrix of a text', () => {
    const matrices: unknown[] = []
    run(
      ({ matrix, dryRun }) => {
        if (!dryRun) matrices.push(matrix?.get('blk.0.attn_k.weight'))
        return true
      },
      { text: 'abc' },
    )
    expect(matrices).toEqual([Float32Array.of(1, 2)])
  })

  test('is refused before a byte is written when the result does not fit on the disk', () => {
    const runs: boolean[] = []
    const quantize = ({ dryRun }: QuantizeParameters, log: Log) => {
      runs.push(dryRun)
      log(2, 'llama_model_quantize_impl: quant size  =   1000.00 MiB (7.36 BPW)\n')
      return true
    }
    expect(() => run(quantize, { free: 900 * 1024 ** 2 })).toThrow(/needs 1064 MB .* 900 MB free/)
    expect(runs).toEqual([true])
  })

  test('that the library refuses says why', () => {
    const refuses = (_: QuantizeParameters, log: Log) => {
      log(4, '\n\n')
      log(4, "llama_model_quantize: failed to quantize: tensor 'x' data is not within the file bounds\n")
      return false
    }
    expect(() => run(refuses)).toThrow(/not within the file bounds/)
  })

  test('understands only what the library says of progress', () => {
    expect(readLogLine('llama_model_loader: - kv   0: general.architecture')).toBeUndefined()
    expect(readLogLine('[1000/1200] x')).toEqual({ type: 'tensor', tensor: 1000, tensors: 1200 })
  })
})

describe('an importance matrix', () => {
  const operations = { multiply: 29, multiplyById: 30 }
  const tensor = (
    name: string,
    shape: readonly number[],
    values: readonly number[] = [],
    parts: Partial<Tensor> = {},
  ): Tensor => {
    const [a = 1, b = 1, c = 1, d = 1] = shape
    return {
      name,
      operation: 0,
      isFloat32: true,
      shape: [a, b, c, d],
      strides: [4, 4 * a, 4 * a * b, 4 * a * b * c],
      source: () => undefined,
      floats: (offset, length) => Float32Array.from(values).subarray(offset / 4, offset / 4 + length),
      ints: (offset, length) => Int32Array.from(values).subarray(offset / 4, offset / 4 + length),
      ...parts,
    }
  }
  const node = (operation: number, ...sources: Tensor[]) =>
    tensor('node', [1], [], { operation, source: (index) => sources[index] })

  test('is the mean of the squares that each column is multiplied with', () => {
    const { watch, matrix } = createImportanceCollector()
    const rows = Array.from({ length: 16 }, (_, row) => [1, row < 8 ? 2 : 0]).flat()
    const product = node(29, tensor('CUDA0#blk.0.ffn_up.weight#0', [2, 3]), tensor('x', [2, 16], rows))
    for (let batch = 0; batch < 2; batch += 1)
      expect([watch(operations, product, true), watch(operations, product, false)]).toEqual([true, true])
    expect(matrix()).toEqual(new Map([['blk.0.ffn_up.weight', Float32Array.of(1, 2)]]))
  })

  test('has columns for each expert, of the tokens that were sent to it', () => {
    const { watch, matrix } = createImportanceCollector()
    // Sixteen tokens, two of three experts each; the inputs differ for each of them.
    const inputs = tensor('x', [1, 2, 16], Array(8).fill([1, 2, 3, 4]).flat())
    const chosen = tensor('ids', [2, 16], Array(16).fill([0, 2]).flat())
    const product = node(30, tensor('blk.1.ffn_up_exps.weight', [1, 5, 3]), inputs, chosen)
    expect([watch(operations, product, true), watch(operations, product, false)]).toEqual([true, true])
    expect(matrix().get('blk.1.ffn_up_exps.weight')).toEqual(Float32Array.of((1 + 9) / 2, 1, (4 + 16) / 2))
  })

  test('leaves out what is no weight of a layer, and ends before the scores are computed', () => {
    const { watch, matrix } = createImportanceCollector()
    const rows = tensor('x', [1, 16], Array(16).fill(1))
    for (const name of ['cache_k_l0', 'output.weight', 'token_embd.weight'])
      expect(watch(operations, node(29, tensor(name, [1, 1]), rows), true)).toBe(false)
    expect(watch(operations, node(29, tensor('blk.0.attn_q.weight', [1, 1]), tensor('x', [1, 15])), true)).toBe(false)
    const last = tensor('result_norm', [1])
    expect([watch(operations, last, true), watch(operations, last, false)]).toEqual([true, false])
    expect(matrix().size).toBe(0)
  })

  test('is made of a text in chunks that begin anew, all of whose rows are computed', () => {
    const model = { ...scriptedModel([0, 0]), firstToken: 1 }
    const rows: Array<readonly [readonly number[], number, boolean]> = []
    const reports: number[][] = []
    const evaluate = (...row: readonly [readonly number[], number, boolean]) => void rows.push(row)
    calibrate({ ...model, evaluate }, '0'.repeat(600), (chunk, chunks) => void reports.push([chunk, chunks]))
    expect(rows.map(([tokens, position, outputs]) => [tokens[0], tokens.length, position, outputs])).toEqual([
      [1, 64, 0, true],
      ...Array.from({ length: 7 }, (_, index) => [0, 64, 64 * (index + 1), true]),
      [1, 64, 0, true],
      [0, 24, 64, true],
    ])
    expect(reports).toEqual([
      [1, 2],
      [2, 2],
    ])
    expect(() => calibrate(model, '0', () => {})).toThrow(/1 tokens; at least 64/)
  })
})
