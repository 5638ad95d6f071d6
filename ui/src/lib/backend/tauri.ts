/** The application's own backend: Rust, through Tauri. The only file that knows Tauri. */
import { invoke } from '@tauri-apps/api/core';
import type { Backend, Problem } from './index';
import { events } from './generated/bindings';

/** Whether this page runs in the application's window. */
export function insideTauri(): boolean {
  return '__TAURI_INTERNALS__' in globalThis;
}

/** A request that never reached the application is refused with a text, or throws: both are problems as any other. */
function problemOf(error: unknown): Problem {
  const isProblem = typeof error === 'object' && error !== null && 'code' in error;
  if (isProblem && !(error instanceof Error)) return error as Problem;
  return { code: 'window.command', message: String(error), help: null };
}

export function tauriBackend(): Backend {
  return {
    async ask(request) {
      try {
        return { status: 'ok', data: await invoke('request', { request }) };
      } catch (error) {
        return { status: 'error', error: problemOf(error) };
      }
    },
    listen: (onEvent) => events.engineEvent.listen((event) => onEvent(event.payload)),
    onCloseRequested: (onRequest) => events.closeRequested.listen(() => onRequest()),
    onQuitRequested: (onRequest) =>
      events.quitRequested.listen(({ payload }) => onRequest(payload.flashing)),
    onOpenDevice: (onOpen) => events.openDevice.listen((event) => onOpen(event.payload)),
  };
}
