import { defineConfig } from 'vitest/config'

// Node.js itself imports the code, so that what it counts is what stands in the files.
export default defineConfig({
  test: {
    include: ['test/unit/**/*.test.ts'],
    globalSetup: 'test/web/build-pages.ts',
    setupFiles: 'bench/coverage/take-coverage.ts',
    testTimeout: 60_000,
    maxWorkers: '100%',
    experimental: { viteModuleRunner: false },
  },
})
