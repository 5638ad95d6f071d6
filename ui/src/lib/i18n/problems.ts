/** Problems and sentences of the application, which come in English, in the language of the window. */
import titles from '../../../../src-tauri/core/src/words/titles.json';
import type { Problem } from '../backend';
import { germanProblem } from './de/problems';
import { germanSentence } from './de/sentences';
import { spokenLanguage } from './index.svelte';

export interface Said {
  /** What it is called: a few words. */
  title: string;
  /** What happened, in a sentence. */
  message: string;
  /** What to do about it. */
  help: string | null;
  /** What only somebody who looks closer wants to know. */
  details: string | null;
}

const named: Readonly<Record<string, { en: string; de: string }>> = titles;

export function say(problem: Problem): Said {
  const language = spokenLanguage();
  const said = language === 'de' ? germanProblem(problem) : inEnglish(problem);
  return { title: named[problem.code]?.[language] ?? said.message, ...said };
}

function inEnglish({ message, help, details }: Problem): Omit<Said, 'title'> {
  return { message, help, details: details ?? null };
}

/** A line of a timeline, or a step of a build. What isn't known stays as it is. */
export function translateSentence(text: string): string {
  return spokenLanguage() === 'de' ? germanSentence(text) : text;
}
