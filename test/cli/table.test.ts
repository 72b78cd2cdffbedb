import { expect, it } from 'vitest';
import { makeColours, shown, withoutColour } from '../../cli/colours.ts';
import type { Printer } from '../../cli/print.ts';
import { tableText } from '../../cli/table.ts';

const columns = [{ head: 'JOB', cuts: true }, { head: 'STATE' }, { head: 'TRY', align: 'right' }] as const;
const rows = [
  ['plate-conductivity-1.0_mesh-64', 'succeeded', '1'],
  ['b', 'failed', '12'],
];

function printer(width: number | undefined, colours = false): Printer {
  const nothing = () => undefined;
  const later = async () => undefined;
  const silent = { line: nothing, lines: later, bytes: later, json: nothing, jsonPart: later, note: nothing };
  return { ...silent, paints: false, progress: false, width, colour: makeColours(colours) };
}

it('is as wide as it must be in a pipe, with no space at line ends', () => {
  expect(tableText(printer(undefined), columns, rows).split('\n')).toEqual([
    'JOB                             STATE      TRY',
    'plate-conductivity-1.0_mesh-64  succeeded    1',
    'b                               failed      12',
  ]);
});

it('fits a narrow terminal by cutting the columns that may be cut', () => {
  const lines = tableText(printer(40), columns, rows).split('\n');
  expect(Math.max(...lines.map((line) => line.length))).toBe(40);
  expect(lines[1]).toMatch(/^plate-.*…\s+succeeded\s+1$/);
});

it('keeps columns straight when cells are coloured or hold line ends', () => {
  const print = printer(undefined, true);
  const text = tableText(print, columns, [
    ['a\nb', print.colour.green('succeeded'), '1'],
    ['c', 'held', '2'],
  ]);
  expect(shown(text)).toContain('\x1b[32msucceeded\x1b[39m');
  const plain = withoutColour(text).split('\n');
  expect(plain).toEqual(['JOB  STATE      TRY', 'a b  succeeded    1', 'c    held         2']);
});
