import { defineConfig, type TestProjectConfiguration } from 'vitest/config'
import ordinary from '../../vitest.config.ts'

/** The same tests. Node.js itself imports the code, so that what it counts is what stands in the files. */
function counted(project: TestProjectConfiguration): TestProjectConfiguration {
  if (typeof project !== 'object' || !('test' in project)) return project
  return {
    ...project,
    test: { ...project.test, setupFiles: 'bench/coverage/take-coverage.ts', experimental: { viteModuleRunner: false } },
  }
}

export default defineConfig({ test: { projects: ordinary.test?.projects?.map(counted) ?? [] } })
