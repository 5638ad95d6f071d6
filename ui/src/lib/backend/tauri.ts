/** The application's own backend: Rust, through Tauri. The only file that knows Tauri. */
import type { Backend } from './index';
import { commands, events } from './generated/bindings';

/** Whether this page runs in the application's window. */
export function insideTauri(): boolean {
  return '__TAURI_INTERNALS__' in globalThis;
}

export function tauriBackend(): Backend {
  return {
    ...commands,
    listen: (onEvent) => events.engineEvent.listen((event) => onEvent(event.payload)),
    onCloseRequested: (onRequest) => events.closeRequested.listen(() => onRequest()),
    onQuitRequested: (onRequest) =>
      events.quitRequested.listen(({ payload }) => onRequest(payload.flashing)),
    onOpenDevice: (onOpen) => events.openDevice.listen((event) => onOpen(event.payload)),
  };
}
