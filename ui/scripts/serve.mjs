/** Builds the window on the fake backend and serves it, for pictures and measurements. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { build, preview } from 'vite';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Answers where it is, and what ends it. */
export async function serveStories() {
  const outDir = mkdtempSync(join(tmpdir(), 'wakeflash-stories-'));
  process.env.VITE_BACKEND = 'fake';
  const quiet = { root, logLevel: 'warn' };
  await build({ ...quiet, build: { outDir, emptyOutDir: true } });
  const server = await preview({
    ...quiet,
    build: { outDir },
    preview: { host: '127.0.0.1', port: 0, strictPort: false },
  });
  const { port } = server.httpServer.address();
  return {
    url: (story) => `http://127.0.0.1:${port}/?story=${story}`,
    async stop() {
      await server.close();
      rmSync(outDir, { recursive: true, force: true });
    },
  };
}
