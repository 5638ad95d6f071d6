/** "1 day", "2 days": both languages have these two forms. */
export function count(n: number, one: string, many: string): string {
  return `${n} ${n === 1 ? one : many}`;
}
