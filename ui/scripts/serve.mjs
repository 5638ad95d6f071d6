/** Builds the window on the fake backend and serves it, for pictures, checks and measurements. */
import { fileURLToPath } from 'node:url';
import { build, preview } from 'vite';
import { temporary } from './desktop.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/** `head`: a script that runs before the page's own. Answers the address of a story. */
export async function serveStories(head) {
  const outDir = temporary('stories');
  process.env.VITE_BACKEND = 'fake';
  const quiet = { root, logLevel: 'error' };
  const script = { tag: 'script', children: head, injectTo: 'head-prepend' };
  await build({
    ...quiet,
    plugins: [{ name: 'head', transformIndexHtml: () => [script] }],
    build: { outDir, emptyOutDir: true },
  });
  const server = await preview({
    ...quiet,
    build: { outDir },
    preview: { host: '127.0.0.1', port: 0, strictPort: false },
  });
  const { port } = server.httpServer.address();
  return (story) => `http://127.0.0.1:${port}/?story=${story}`;
}
