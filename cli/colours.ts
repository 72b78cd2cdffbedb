import { createColors } from 'picocolors';
import { harmless, harmlessLine } from '../base/harmless.ts';
import { systemRandom } from '../base/random.ts';

/** The colours that this program uses. */
export type Colours = Readonly<Record<Colour, (text: string) => string>>;

type Colour = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

/**
 * Colours for text that is shown by `shown` and nothing else: each code carries a seal that only this process knows.
 * So a colour of ours can be told from one that came with a job's output, wherever the two are joined.
 */
export function makeColours(on: boolean): Colours {
  const plain = createColors(on);
  const sealed = (name: Colour) => {
    const [open = '', close = ''] = plain[name](' ')
      .split(' ')
      .map((code) => code.replace('\x1b', esc));
    return (text: string) => `${open}${text}${close}`;
  };
  return {
    bold: sealed('bold'),
    dim: sealed('dim'),
    red: sealed('red'),
    green: sealed('green'),
    yellow: sealed('yellow'),
    cyan: sealed('cyan'),
  };
}

/** Text as a terminal may have it: our own colours, and nothing else that a terminal obeys. */
export function shown(text: string): string {
  return outside(text, harmless).replaceAll(esc, '\x1b');
}

/** Text on one line, which is harmless and may still be joined with more: `shown` keeps our own colours in it. */
export function oneLine(text: string): string {
  return outside(text, harmlessLine);
}

/** Changes what is between our own codes. */
function outside(text: string, change: (text: string) => string): string {
  if (!text.includes(esc)) return change(text);
  return text
    .split(ownCodes)
    .map((part, at) => (at % 2 === 0 ? change(part) : part))
    .join('');
}

/** Text as it reads: without our own colours. */
export function withoutColour(text: string): string {
  return text.includes(esc) ? text.replace(ownCodes, '') : text;
}

/** What our codes begin with, in place of ESC. 96 bits of chance: no text from outside holds it by chance or by design. */
const esc = `\x1b<${Buffer.from(systemRandom.bytes(12)).toString('hex')}>`;
const ownCodes = new RegExp(`(${esc}\\[\\d{1,2}m)`, 'g');
