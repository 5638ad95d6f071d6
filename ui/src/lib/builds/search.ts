/** Searching in a log. */
import type { Piece } from './ansi';

/** The indexes of the lines that contain the words, in any case. */
export function findLines(plainLines: readonly string[], query: string): number[] {
  const wanted = query.trim().toLocaleLowerCase();
  if (wanted === '') return [];
  return plainLines.flatMap((line, index) =>
    line.toLocaleLowerCase().includes(wanted) ? index : [],
  );
}

export interface Marked extends Piece {
  found: boolean;
}

/** Cuts pieces so that what was found stands alone; a find that spans two colours is cut at the colour. */
export function mark(pieces: readonly Piece[], query: string): Marked[] {
  const wanted = query.trim().toLocaleLowerCase();
  if (wanted === '') return pieces.map((piece) => ({ ...piece, found: false }));
  const text = pieces
    .map((piece) => piece.text)
    .join('')
    .toLocaleLowerCase();
  const marks: Marked[] = [];
  let start = 0;
  for (const piece of pieces) {
    const end = start + piece.text.length;
    let at = start;
    while (at < end) {
      const find = nextFind(text, wanted, at);
      const inside = find <= at;
      const stop = Math.min(end, inside ? find + wanted.length : find);
      const part = piece.text.slice(at - start, stop - start);
      marks.push({ text: part, classes: piece.classes, found: inside });
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
