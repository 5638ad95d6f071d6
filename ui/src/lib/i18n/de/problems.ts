/** The application's problems in German, by their code. */
import type { Problem } from '../../backend';
import type { Said } from '../problems';
import { device } from './problems-device';
import { machine } from './problems-machine';
import { transfer } from './problems-transfer';

export interface German {
  /** What happened, in general. */
  says: string;
  help?: string;
  /** The English sentence says more than `says` does: it is shown as details. */
  varies?: true;
  /** English sentences whose parts can be taken over. */
  exact?: readonly Exact[];
}

/** An English sentence, the German one, and the help when it is another one than usual. */
export type Exact = readonly [RegExp, string, string?];

const problems: Readonly<Record<string, German>> = { ...device, ...transfer, ...machine };

export const germanCodes: readonly string[] = Object.keys(problems);

/** Parts of sentences that are taken over, and are words themselves. */
const phrases: Readonly<Record<string, string>> = {
  'before the device answered': 'bevor das Gerät antwortete',
  'while agreeing on the protocol': 'bei der Einigung auf das Protokoll',
  'while agreeing on the encryption': 'bei der Einigung auf die Verschlüsselung',
  'during the password check': 'bei der Prüfung des Passworts',
  'before the transfer was cleared to begin': 'bevor die Übertragung beginnen durfte',
  'while the device made room for the firmware': 'während das Gerät Platz für die Firmware schuf',
  'when the transfer began': 'beim Beginn der Übertragung',
  'during the transfer': 'während der Übertragung',
  'after the whole firmware was sent': 'nachdem die ganze Firmware gesendet war',
  'ESPHome ended before the device had confirmed the update':
    'ESPHome endete, bevor das Gerät das Update bestätigt hatte',
  'The upload took too long and was ended': 'Die Übertragung dauerte zu lange und wurde beendet',
  'The upload came to a halt and was ended': 'Die Übertragung stand still und wurde beendet',
};

/** The German sentence with what the English one says; `null`: it is another one. */
function filled(text: string, pattern: RegExp, words: string): string | null {
  const found = pattern.exec(text);
  return (
    found &&
    words.replace(/\$(\d)/g, (_, n: string) => {
      const part = found[Number(n)] ?? '';
      return phrases[part] ?? part;
    })
  );
}

/** A problem whose code isn't told, as in a timeline. */
export function germanMessage(text: string): string | null {
  for (const { exact } of Object.values(problems)) {
    for (const [pattern, words] of exact ?? []) {
      const message = filled(text, pattern, words);
      if (message !== null) return message;
    }
  }
  return null;
}

/** A code that nobody has translated yet: the words of the application are better than none. */
function unknown(problem: Problem): Said {
  return { message: problem.message, help: problem.help, details: null };
}

export function germanProblem(problem: Problem): Said {
  const german = problems[problem.code];
  if (!german) return unknown(problem);
  const help = german.help ?? null;
  for (const [pattern, words, other] of german.exact ?? []) {
    const message = filled(problem.message, pattern, words);
    if (message !== null) return { message, help: other ?? help, details: null };
  }
  const details = german.varies ? [problem.message, problem.help].filter(Boolean).join(' ') : null;
  return { message: german.says, help, details };
}
