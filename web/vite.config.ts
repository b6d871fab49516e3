import { fileURLToPath } from 'node:url'
import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vite'
import { compress } from './compress.ts'
import { listSources } from './list-sources.ts'

/** Builds the pages into `dist/web`, from where the service sends them. */
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  logLevel: 'warn',
  plugins: [svelte(), listSources(fileURLToPath(new URL('..', import.meta.url))), compress()],
  build: {
    outDir: '../dist/web',
    emptyOutDir: true,
    target: 'es2023',
    // Files of their own, as the security policy allows no script or style inside of a page.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
})
