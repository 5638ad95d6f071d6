/** Searching in a log. */
import { plain, type Piece } from './ansi';

/** More finds in one line aren't marked: a line of a compiler can have thousands of letters. */
const MARKED = 20;

function fold(text: string): string {
  return text.toLocaleLowerCase();
}

/** The lines of a log as they are searched. It grows all the time, so each line is read once. */
export class Folded {
  #known = new Map<string, string>();

  of(lines: readonly string[]): string[] {
    // Some lines are gone from the log.
    if (this.#known.size > 2 * lines.length) this.#known.clear();
    return lines.map((line) => {
      let folded = this.#known.get(line);
      if (folded === undefined) this.#known.set(line, (folded = fold(plain(line))));
      return folded;
    });
  }
}

/** The indexes of the lines that contain the words, in any case. */
export function findLines(folded: readonly string[], query: string): number[] {
  const wanted = fold(query.trim());
  const found: number[] = [];
  if (wanted === '') return found;
  for (const [index, line] of folded.entries()) if (line.includes(wanted)) found.push(index);
  return found;
}

interface Marked extends Piece {
  found: boolean;
}

/** Cuts pieces so that what was found stands alone; a find that spans two colours is cut at the colour. */
export function mark(pieces: readonly Piece[], query: string): Marked[] {
  const wanted = fold(query.trim());
  if (wanted === '') return pieces.map((piece) => ({ ...piece, found: false }));
  const text = fold(pieces.map((piece) => piece.text).join(''));
  let left = MARKED;
  const marks: Marked[] = [];
  let start = 0;
  for (const piece of pieces) {
    const end = start + piece.text.length;
    let at = start;
    while (at < end) {
      const find = left > 0 ? nextFind(text, wanted, at) : text.length;
      const inside = find <= at;
      const stop = Math.min(end, inside ? find + wanted.length : find);
      const part = piece.text.slice(at - start, stop - start);
      marks.push({ text: part, classes: piece.classes, found: inside });
      if (inside) left -= 1;
      at = stop;
    }
    start = end;
  }
  return marks;
}

/** Where the find that covers `at`, or else the next one, begins; the text's end when there is none. */
function nextFind(text: string, wanted: string, at: number): number {
  const find = text.indexOf(wanted, Math.max(0, at - wanted.length + 1));
  return find < 0 ? text.length : find;
}
