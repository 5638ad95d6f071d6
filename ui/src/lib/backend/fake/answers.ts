/** What the simulated engine answers with, and how fast. */
import type { Answer, AnswerOf, Command, Problem, RequestOf } from '..';

/** How each command is answered. */
export type Commands = {
  [C in Command]: (its: Omit<RequestOf<C>, 'cmd'>) => Promise<Answer<AnswerOf<C>>>;
};

export const STEP_MS = 150;
export const NOT_OPENED: Problem = {
  code: 'open.failed',
  message: 'The desktop has no program that opens this.',
  help: null,
};

export function ok<T>(data: T): Answer<T> {
  return { status: 'ok', data };
}

export function no<T>(error: Problem): Answer<T> {
  return { status: 'error', error };
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** What an installation of ESPHome goes through. */
export const INSTALLING: [string, number | null][] = [
  ['Creating an environment', null],
  ['Downloading 31 of 62 packages, 48 MB', 48],
  ['Installing 62 packages', null],
];
