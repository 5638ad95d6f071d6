/** Problems and sentences of the application, which come in English, in the language of the window. */
import type { Problem } from '../backend';
import { germanProblem } from './de/problems';
import { germanSentence } from './de/sentences';
import { spokenLanguage } from './index.svelte';

export interface Said {
  message: string;
  help: string | null;
  /** The application's own words, where the sentence says less than they do. */
  details: string | null;
}

export function say(problem: Problem): Said {
  if (spokenLanguage() === 'de') return germanProblem(problem);
  return { message: problem.message, help: problem.help, details: null };
}

/** A line of a timeline, or a step of a build. What isn't known stays as it is. */
export function translateSentence(text: string): string {
  return spokenLanguage() === 'de' ? germanSentence(text) : text;
}
