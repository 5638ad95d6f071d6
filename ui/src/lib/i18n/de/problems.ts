/** The application's problems in German, by their code. */
import type { Problem } from '../../backend';
import type { Said } from '../problems';
import { device } from './problems-device';
import { machine } from './problems-machine';

export interface German {
  /** What happened, in general. */
  says: string;
  help?: string;
  /** The English sentence says more than `says` does: it is shown as details. */
  varies?: true;
  /** Where the parts that vary can be taken over from the English sentence. */
  exact?: readonly (readonly [RegExp, string])[];
}

const problems: Readonly<Record<string, German>> = { ...device, ...machine };

export const germanCodes: readonly string[] = Object.keys(problems);

/** A code that nobody has translated yet: the words of the application are better than none. */
function unknown(problem: Problem): Said {
  return { message: problem.message, help: problem.help, details: null };
}

export function germanProblem(problem: Problem): Said {
  const german = problems[problem.code];
  if (!german) return unknown(problem);
  const help = german.help ?? null;
  for (const [pattern, words] of german.exact ?? []) {
    if (pattern.test(problem.message)) {
      return { message: problem.message.replace(pattern, words), help, details: null };
    }
  }
  const details = german.varies ? [problem.message, problem.help].filter(Boolean).join(' ') : null;
  return { message: german.says, help, details };
}
