/** The application's problems in German, by their code. Its own tray and notifications say the same sentences. */
import german from '../../../../../src-tauri/core/src/words/german.json';
import type { Problem } from '../../backend';
import type { Said } from '../problems';

interface German {
  /** What happened, in general. */
  says: string;
  help?: string;
  /** The help that belongs to an English one, when it isn't always the same. */
  helps?: Readonly<Record<string, string>>;
  /** The English sentence says more than `says` does: it is shown as details. */
  varies?: boolean;
  /** English sentences whose parts can be taken over, and the help when it is another one than usual. */
  exact?: readonly { from: string; to: string; help?: string }[];
}

const problems: Readonly<Record<string, German>> = german.problems;
/** Parts of sentences that are taken over, and are words themselves. */
const phrases: Readonly<Record<string, string>> = german.phrases;

export const germanCodes: readonly string[] = Object.keys(problems);

/** What stands in the places `{}` of a template; `null`: the text is another one. */
function takenOver(text: string, template: string): string[] | null {
  const [first = '', ...literals] = template.split('{}');
  const last = literals.pop();
  if (last === undefined) return text === first ? [] : null;
  if (!text.startsWith(first)) return null;
  let left = text.slice(first.length);
  const parts: string[] = [];
  for (const literal of literals) {
    const at = left.indexOf(literal);
    if (at < 0) return null;
    parts.push(left.slice(0, at));
    left = left.slice(at + literal.length);
  }
  if (!left.endsWith(last)) return null;
  return [...parts, left.slice(0, left.length - last.length)];
}

function filled(words: string, parts: readonly string[]): string {
  return words.replace(/\{(\d)\}/g, (_, n: string) => {
    const part = parts[Number(n) - 1] ?? '';
    return phrases[part] ?? part;
  });
}

export function germanProblem(problem: Problem): Omit<Said, 'title'> {
  const { code, message, help } = problem;
  const details = problem.details ?? null;
  const known = problems[code];
  // Nobody has translated it yet: the words of the application are better than none.
  if (!known) return { message, help, details };
  const usual = (help === null ? null : known.helps?.[help]) ?? known.help ?? null;
  for (const { from, to, help: other } of known.exact ?? []) {
    const parts = takenOver(message, from);
    if (parts) return { message: filled(to, parts), help: other ?? usual, details };
  }
  const own = known.varies ? [message, help, details].filter(Boolean).join(' ') : details;
  return { message: known.says, help: usual, details: own };
}
