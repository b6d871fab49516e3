import { runProgram } from '../../src/cli/run-program.ts'
import { ensureBuiltPages } from '../../src/web-client/build.ts'

/** The pages that the tests look at are those of the sources. */
export default () => ensureBuiltPages(runProgram)
