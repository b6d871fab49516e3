import { runBench } from '../../bench/main.ts'
import { type Context, configOf, writeLine } from './context.ts'

/** `bench`: gives 0 when everything could be measured. Throws what was wrong. */
export async function runBenchCommand(context: Context): Promise<number> {
  const { words, language, version, terminal } = context
  await runBench({
    args: words,
    language,
    version,
    modelsDir: configOf(context, { serves: false }).modelsDir,
    write: (line) => writeLine(terminal.output, line),
    tell: (line) => writeLine(terminal.notes, line),
  })
  return 0
}
