import { svelte } from '@sveltejs/vite-plugin-svelte';
import { svelteTesting } from '@testing-library/svelte/vite';
import { defineConfig } from 'vitest/config';

/** Svelte has to be the same for what is bundled and what isn't. */
const BUNDLED = ['bits-ui', 'svelte', 'svelte/internal/client', 'svelte/internal/disclose-version'];

export default defineConfig({
  plugins: [svelte(), svelteTesting()],
  clearScreen: false,
  server: {
    host: '127.0.0.1',
    port: 5173,
    strictPort: true,
    // The German sentences of problems are the application's own.
    fs: { allow: ['.', '../src-tauri/core/src/words'] },
  },
  preview: { host: '127.0.0.1', port: 4173, strictPort: true },
  build: {
    target: ['es2022', 'safari16', 'chrome110'],
    // No data: URLs for assets and no inline script: the content security policy allows neither.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  test: {
    environment: 'jsdom',
    include: ['src/**/*.test.ts', 'tests/**/*.test.ts'],
    setupFiles: ['tests/setup.ts'],
    // A quarter of the time would go into the icons' lines, which nothing in jsdom looks at.
    alias: [
      {
        find: /^@lucide\/svelte\/icons\/.*/,
        replacement: `${import.meta.dirname}/tests/Icon.svelte`,
      },
    ],
    // Hundreds of files that are always the same: bundled once, and kept for the next run.
    deps: { optimizer: { client: { enabled: true, include: BUNDLED } } },
    restoreMocks: true,
    // What hangs is found by that, not what is slow: the machine may have much else to do.
    testTimeout: 240_000,
    expect: { poll: { timeout: 60_000 } },
  },
});
