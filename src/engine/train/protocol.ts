import type { JobFailed } from '../local/run-job.ts'
import type { AdaptableModule } from './trainable.ts'

export const trainingMethods = ['sft', 'dpo'] as const
export type TrainingMethod = (typeof trainingMethods)[number]
export const learningRateSchedules = ['cosine', 'linear', 'constant'] as const

/** How a run learns. All are resolved: who starts it has filled in the defaults. */
export type TrainParameters = Readonly<{
  /** `sft`: answers are learned; `dpo`: one answer is preferred to another. */
  method: TrainingMethod
  epochs: number
  /** Examples (or pairs) that are evaluated at once, and how often before each update. */
  batchSize: number
  accumulation: number
  learningRate: number
  schedule: (typeof learningRateSchedules)[number]
  /** The share of all updates in which the learning rate rises from 0. */
  warmup: number
  rank: number
  alpha: number
  modules: readonly AdaptableModule[]
  /** 0 to below 1. */
  dropout: number
  /** In tokens; longer examples are left out, and told. */
  maxLength: number
  /** Whether short examples share a row. */
  packs: boolean
  /** Gradients of a greater L2 norm are scaled down to it; 0: never. */
  maxGradientNorm: number
  weightDecay: number
  seed: number
  /** Ends after so many epochs in a row without a lower held-out loss; 0: never. */
  patience: number
  /** Of DPO: how strongly the model is kept near to what it was. */
  beta: number
  /** Tokens of general text for each token of the examples, so that the model does not forget. 0: none. DPO has no use for it. */
  replay: number
}>

/** Where an adapter comes from, as its file tells: what it is called, the model that it is for, and the id of the run. */
export type AdapterOrigin = Readonly<{ name: string; baseModel: string; run: string }>

export type TrainJob = Readonly<{
  modelPath: string
  adapter: AdapterOrigin
  /** The run's own folder: checkpoints, and at the end the adapter. */
  folder: string
  /** JSON lines of `TrainingExample`. */
  trainFile: string
  /** As `trainFile`; may be empty. */
  heldOutFile: string
  /** General text: JSON lines of `TrainingExample` without preferences; undefined: none. */
  replayFile: string | undefined
  parameters: TrainParameters
  threads: number
  device: 'cpu' | 'cuda'
  /** Bytes that the process may take; a job that needs more is refused. */
  memoryBytes: number
}>

export type ToTrainer =
  | Readonly<{ type: 'train-start'; job: TrainJob }>
  /** Writes a checkpoint after the step under way, and ends with `train-end`. */
  | Readonly<{ type: 'train-stop' }>
  /** Waits after the step under way until it is told to go on: for where a process cannot be made to stand still at once. */
  | Readonly<{ type: 'train-pause' }>
  | Readonly<{ type: 'train-go-on' }>

/** Told once, before the first step. */
export type TrainPlan = Readonly<{
  type: 'train-plan'
  /**
   * Examples that are learned from, and those left out because they are too long, or `empty`: they have nothing to learn, or the model's
   * chat template does not write such a conversation.
   */
  examples: number
  tooLong: number
  empty: number
  heldOut: number
  /** Tokens of one epoch, replay included, and those of them that are predicted. */
  tokens: number
  targets: number
  steps: number
  trainableParameters: number
  /** What the process is expected to take at most. */
  memoryBytes: number
  /** About how long all steps take, judged by one look at a text of the run, where nothing else runs. */
  seconds: number
  /** Mean negative log-likelihood of a row, here and by llama.cpp. */
  parity: Readonly<{ ours: number; reference: number; tolerance: number }>
}>

export type TrainEvent =
  | TrainPlan
  /** It goes on after this step of an earlier process. */
  | Readonly<{ type: 'train-resume'; step: number }>
  | Readonly<{
      type: 'train-step'
      /** From 1. */
      step: number
      epoch: number
      /** Weighted mean over the targets (sft, in nats a token) or the pairs (dpo). */
      loss: number
      learningRate: number
      gradientNorm: number
      tokens: number
      ms: number
      residentBytes: number
    }>
  /** `preferenceAccuracy`: of held-out pairs, 0 to 1; only for dpo. */
  | Readonly<{
      type: 'train-epoch'
      epoch: number
      step: number
      trainLoss: number
      heldOutLoss: number | undefined
      preferenceAccuracy: number | undefined
      isBest: boolean
    }>
  | Readonly<{ type: 'train-checkpoint'; step: number }>
  | Readonly<{
      type: 'train-end'
      /** `stopped`: by `train-stop`; it can go on. */
      reason: 'completed' | 'early-stop' | 'stopped'
      step: number
      /** The step whose adapter was kept. */
      bestStep: number
      heldOutLoss: number | undefined
      /** The adapter as a GGUF file in the run's folder; undefined when stopped. */
      adapterFile: string | undefined
    }>

/** `trainer-ready`: it will end with its parent even while it stands still. `train-alive`: a piece of a step is done, or of a look at the held-out examples. */
export type FromTrainer = TrainEvent | Readonly<{ type: 'trainer-ready' | 'train-alive' }> | JobFailed
