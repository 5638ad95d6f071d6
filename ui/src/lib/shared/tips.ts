/**
 * Which tooltip there is: `data-tip` has the words. `data-tips` is on what lies over a whole row: with the keyboard it
 * shows all that is cut off in there, since nothing else of the row could have the focus.
 */
export interface Tip {
  anchor: HTMLElement;
  /** What it says now: a row may be another device's a moment later. */
  read: () => string[];
}

/** Lines of a text that are hidden are higher than what fonts stick out. */
const LINE_PX = 8;

function isCut({ scrollWidth, clientWidth, scrollHeight, clientHeight }: HTMLElement): boolean {
  return scrollWidth > clientWidth || scrollHeight > clientHeight + LINE_PX;
}

/** What can be read anyway isn't said twice: it would only hide what is near. */
function wordsOf(element: HTMLElement): string[] {
  const tip = element.dataset.tip ?? '';
  return tip !== '' && (element.textContent?.trim() !== tip || isCut(element)) ? [tip] : [];
}

function tipOf(anchor: HTMLElement, parts = (): Iterable<HTMLElement> => [anchor]): Tip | null {
  const read = () => [...new Set([...parts()].flatMap(wordsOf))];
  return read().length > 0 ? { anchor, read } : null;
}

/** What a row tells: its other buttons say themselves what they do. */
function partsOf(row: Element): NodeListOf<HTMLElement> {
  return row.querySelectorAll('[data-tip]:not(button:not([data-tips]))');
}

export function isOver(element: Element, x: number, y: number): boolean {
  const { left, right, top, bottom } = element.getBoundingClientRect();
  return x >= left && x <= right && y >= top && y <= bottom;
}

/** The tooltip of what the pointer rests on. */
export function pointedAt(target: Element, x: number, y: number): Tip | null {
  const row = target.closest('[data-tips]')?.closest('li');
  const parts = row ? partsOf(row) : [];
  const anchor = row
    ? [...parts].find((part) => isOver(part, x, y))
    : target.closest<HTMLElement>('[data-tip]');
  return anchor ? tipOf(anchor) : null;
}

/** The tooltip of what the keyboard has led to. */
export function ofFocus(target: HTMLElement): Tip | null {
  const row = target.matches('[data-tips]') ? target.closest('li') : null;
  return row ? tipOf(target, () => partsOf(row)) : tipOf(target);
}
