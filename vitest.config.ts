import { defineConfig } from 'vitest/config'

// unit: scripted engine, no model; model: the real small model; clients: clients of the APIs, with both; web: headless Chromium; tours: the pages on the real model.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'src/**/*.test.ts'],
          globalSetup: 'test/web/build-pages.ts',
          testTimeout: 20_000,
          // Vitest leaves one core free, and would use one of two.
          maxWorkers: '100%',
        },
      },
      {
        test: {
          name: 'model',
          include: ['test/model/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'clients',
          include: ['test/clients/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'web',
          include: ['test/web/**/*.test.ts'],
          globalSetup: 'test/web/build-pages.ts',
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'tours',
          include: ['test/tours/**/*.test.ts'],
          globalSetup: 'test/web/build-pages.ts',
          // A real model takes its time.
          expect: { poll: { timeout: 30_000 } },
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
