import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import type { CollectedAnswer } from './collect.ts'

/** Answers as they are kept outside of this process. */
export interface AnswerCodec {
  encode(key: string, answer: CollectedAnswer): Buffer
  /** Undefined for what is damaged, was written by others, under another key, or in another form. */
  decode(key: string, stored: Buffer): CollectedAnswer | undefined
}

const algorithm = 'aes-256-gcm'
const nonceBytes = 12
const tagBytes = 16
const headBytes = nonceBytes + tagBytes

/** Encrypted with the key of the installation, and bound to the key of the entry: nobody else reads, makes or exchanges them. `secret`: 32 bytes. */
export function createAnswerCodec(secret: Buffer): AnswerCodec {
  return {
    encode(key, answer) {
      const nonce = randomBytes(nonceBytes)
      const cipher = createCipheriv(algorithm, secret, nonce).setAAD(Buffer.from(key))
      const text = Buffer.concat([cipher.update(JSON.stringify(answer), 'utf8'), cipher.final()])
      return Buffer.concat([nonce, cipher.getAuthTag(), text])
    },
    decode(key, stored) {
      if (stored.length < headBytes) return undefined
      const decipher = createDecipheriv(algorithm, secret, stored.subarray(0, nonceBytes), { authTagLength: tagBytes })
      decipher.setAAD(Buffer.from(key)).setAuthTag(stored.subarray(nonceBytes, headBytes))
      try {
        const text = Buffer.concat([decipher.update(stored.subarray(headBytes)), decipher.final()])
        return readAnswer(JSON.parse(text.toString('utf8')))
      } catch {
        return undefined
      }
    },
  }
}

const exactly = { additionalProperties: false }
const scored = { text: Type.String(), bytes: Type.Array(Type.Integer()), logprob: Type.Number() }

/** What replicas of one version write. Those of another one may not: theirs is no answer here, rather than a wrong one. */
const storedAnswer = Type.Object(
  {
    choices: Type.Array(
      Type.Object(
        {
          index: Type.Integer(),
          text: Type.String(),
          reason: Type.Enum(['stop', 'length', 'tool-calls', 'content-filter']),
          reasoning: Type.String(),
          reasoningSignature: Type.Optional(Type.String()),
          toolCalls: Type.Array(Type.Object({ id: Type.String(), name: Type.String(), arguments: Type.String() }, exactly)),
          tokens: Type.Array(Type.Object({ ...scored, top: Type.Array(Type.Object(scored, exactly)) }, exactly)),
          stopText: Type.Optional(Type.String()),
        },
        exactly,
      ),
    ),
    usage: Type.Object(
      {
        promptTokens: Type.Integer(),
        completionTokens: Type.Integer(),
        cachedPromptTokens: Type.Integer(),
        reasoningTokens: Type.Optional(Type.Integer()),
      },
      exactly,
    ),
    timings: Type.Object(
      {
        queueMs: Type.Number(),
        promptMs: Type.Number(),
        firstTokenMs: Type.Number(),
        generationMs: Type.Number(),
        tokensPerSecond: Type.Number(),
      },
      exactly,
    ),
  },
  exactly,
)

function readAnswer(stored: unknown): CollectedAnswer | undefined {
  if (!Value.Check(storedAnswer, stored)) return undefined
  const choices = stored.choices.map((choice) => ({
    ...choice,
    reasoningSignature: choice.reasoningSignature,
    stopText: choice.stopText,
  }))
  return { ...stored, choices }
}
