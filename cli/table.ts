import { oneLine, withoutColour } from './colours.ts';
import type { Printer } from './print.ts';

/** A column: its heading, and whether its numbers stand to the right. */
export interface Column {
  readonly head: string;
  readonly align?: 'right';
  /** May be cut when the terminal is narrow; at least one column should. */
  readonly cuts?: boolean;
}

/** Narrowest a cut column becomes, in characters. */
const cutMin = 8;
const gap = 2;

/**
 * A table without lines around it: in a terminal cut to its width, in a pipe as wide as it must be. Cells are one line
 * each.
 */
export function tableText(print: Printer, columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const lines = rows.map((row) => row.map((cell) => oneLine(cell)));
  const wide = columns.map((column, at) =>
    lines.reduce((most, row) => Math.max(most, plainLength(row[at] ?? '')), column.head.length),
  );
  const widths = narrowed(columns, wide, print.width);
  const layOut = (row: readonly string[]) =>
    widths
      .map((width, at) => fitted(row[at] ?? '', width, columns[at]?.align))
      .join(' '.repeat(gap))
      .trimEnd();
  return [print.colour.bold(layOut(columns.map(({ head }) => head))), ...lines.map(layOut)].join('\n');
}

/** A cell at exactly this width. One that is cut loses its colour: where the colour ends is cut off, too. */
function fitted(cell: string, width: number, align: Column['align']): string {
  const missing = width - plainLength(cell);
  if (missing < 0) return `${[...withoutColour(cell)].slice(0, width - 1).join('')}…`;
  return align === 'right' ? ' '.repeat(missing) + cell : cell + ' '.repeat(missing);
}

/** How many characters a cell takes; colour codes take none. */
function plainLength(text: string): number {
  return [...withoutColour(text)].length;
}

function narrowed(columns: readonly Column[], wide: readonly number[], width: number | undefined): number[] {
  const widths = [...wide];
  if (width === undefined) return widths;
  for (let over = total(widths) - width; over > 0; over--) {
    const widest = columns.reduce<number>((best, column, at) => {
      const size = widths[at] ?? 0;
      return column.cuts && size > cutMin && size > (widths[best] ?? 0) ? at : best;
    }, -1);
    if (widest < 0) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}

function total(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width, 0) + gap * (widths.length - 1);
}
