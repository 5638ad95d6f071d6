/** Terminal output as pieces of text with classes; nothing of it is ever interpreted as HTML. */
import Anser from 'anser';

export interface Piece {
  text: string;
  classes: string;
}

const CONTROL = /[\u0000-\u0008\u000b-\u001a\u001c-\u001f\u007f]/g;
/** Escape sequences other than colours. */
const OTHER_ESCAPES = /\u001b(?:\[[0-9;?]*[A-Za-ln-z]|\][^\u0007]*\u0007|[()][A-Z0-9])/g;

const COLOURS = /\u001b\[[0-9;]*m/g;

/** What a terminal would show in the end, with colours. */
function visible(line: string): string {
  const last = line.replace(/\r+$/, '').split('\r').at(-1) ?? '';
  return last.replace(OTHER_ESCAPES, '').replace(CONTROL, '');
}

export function pieces(line: string): Piece[] {
  return Anser.ansiToJson(visible(line), { use_classes: true, remove_empty: true, json: true }).map(
    (part) => ({
      text: part.content,
      classes: [part.fg, part.decorations.includes('bold') ? 'ansi-bold' : '']
        .filter(Boolean)
        .join(' '),
    }),
  );
}

/** The line without its colours, for searching and the clipboard. */
export function plain(line: string): string {
  const text = visible(line).replace(COLOURS, '');
  if (!text.includes('\u001b')) return text;
  return pieces(line)
    .map((piece) => piece.text)
    .join('');
}
