import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { startServer } from '../server.ts'

// Made by `./run_llm.sh test` when CI is set, or by hand: see test/clients/python.ts.
const python = '.cache/python/bin/python'

const script = `
import json, sys, openai
client = openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)
question = dict(model="fake", messages=[{"role": "user", "content": "Hola"}])
chunks = list(client.chat.completions.create(**question, stream=True, stream_options={"include_usage": True}))
whole = client.chat.completions.create(**question)
continued = client.completions.create(model="fake", prompt="x", max_tokens=50)
errors = []
for wrong in (dict(temperature=3), dict(model="other")):
    try:
        client.chat.completions.create(**{**question, **wrong})
    except openai.APIStatusError as error:
        errors.append([type(error).__name__, error.status_code, error.code, error.param])
print(json.dumps({
    "streamed": "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices),
    "reasons": [choice.finish_reason for chunk in chunks for choice in chunk.choices],
    "heads": len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}),
    "usage": chunks[-1].usage.total_tokens == whole.usage.total_tokens,
    "whole": whole.choices[0].message.content,
    "continued": continued.choices[0].text,
    "models": [model.id for model in client.models.list()],
    "errors": errors,
}))
`

test.skipIf(!existsSync(python) && !process.env.CI)(
  'the official Python client streams, asks, lists and fails as with OpenAI',
  async () => {
    const pieces = Array.from({ length: 20 }, (_, index) => `t${index} `)
    const text = pieces.join('')
    await using server = await startServer({ host: createFakeEngine({ answer: () => ({ pieces }) }) })
    const { stdout } = await promisify(execFile)(python, ['-c', script, `${server.url}/v1`])
    expect(JSON.parse(stdout)).toEqual({
      streamed: text,
      reasons: [...Array.from({ length: 21 }, () => null), 'stop'],
      heads: 1,
      usage: true,
      whole: text,
      continued: text,
      models: ['fake'],
      errors: [
        ['BadRequestError', 400, 'invalid_value', 'temperature'],
        ['NotFoundError', 404, 'model_not_found', 'model'],
      ],
    })
  },
)
