import { expect, test } from 'vitest'
import { createCloser } from '../../src/closer.ts'

test('what was opened last is closed first, all of it though some fail, each once, and every failure is told', async () => {
  const closer = createCloser()
  const closed: string[] = []
  for (const name of ['storage', 'pool', 'queue', 'server'])
    closer.use({
      async close() {
        closed.push(name)
        if (['pool', 'server'].includes(name)) throw new Error(name)
      },
    })
  const errors = [new Error('server'), new Error('pool')]
  await expect(closer.close()).rejects.toMatchObject({ message: 'Some parts did not close.', errors })
  await closer.close()
  expect(closed).toEqual(['server', 'queue', 'pool', 'storage'])
})
