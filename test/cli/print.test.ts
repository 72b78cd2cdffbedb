import { expect, it } from 'vitest';
import { shown } from '../../cli/colours.ts';
import { makePrinter } from '../../cli/print.ts';

// A test's output is a pipe: by itself a printer has no colours there.
it('has colours where the settings say so, and by itself only in a terminal', () => {
  const bold = (colour: 'auto' | 'always' | 'never') => shown(makePrinter(colour).colour.bold('x'));
  expect(bold('always')).toBe('\x1b[1mx\x1b[22m');
  expect(bold('never')).toBe('x');
  expect(bold('auto')).toBe(process.stdout.isTTY === true ? '\x1b[1mx\x1b[22m' : 'x');
});
