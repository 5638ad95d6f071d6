/** The application's own backend: Rust, through Tauri. The only file that knows Tauri. */
import type { Answer, Backend, Problem } from './index';
import { commands, events } from './generated/bindings';

/** Whether this page runs in the application's window. */
export function insideTauri(): boolean {
  return '__TAURI_INTERNALS__' in globalThis;
}

/** A command that never reached the application answers a text, or throws: both are problems as any other. */
function problemOf(error: unknown): Problem {
  const isProblem = typeof error === 'object' && error !== null && 'code' in error;
  if (isProblem && !(error instanceof Error)) return error as Problem;
  return { code: 'window.command', message: String(error), help: null };
}

function answering<A extends unknown[], T>(command: (...args: A) => Promise<Answer<T>>) {
  return async (...args: A): Promise<Answer<T>> => {
    try {
      const answer = await command(...args);
      return answer.status === 'ok' ? answer : { status: 'error', error: problemOf(answer.error) };
    } catch (error) {
      return { status: 'error', error: problemOf(error) };
    }
  };
}

/** The application's commands, none of which ever rejects. */
const answered = Object.fromEntries(
  Object.entries(commands).map(([name, command]) => [
    name,
    answering(command as (...args: unknown[]) => Promise<Answer<unknown>>),
  ]),
) as typeof commands;

export function tauriBackend(): Backend {
  return {
    ...answered,
    listen: (onEvent) => events.engineEvent.listen((event) => onEvent(event.payload)),
    onCloseRequested: (onRequest) => events.closeRequested.listen(() => onRequest()),
    onQuitRequested: (onRequest) =>
      events.quitRequested.listen(({ payload }) => onRequest(payload.flashing)),
    onOpenDevice: (onOpen) => events.openDevice.listen((event) => onOpen(event.payload)),
  };
}
