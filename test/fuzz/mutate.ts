import type { Chance } from './chance.ts';

/** Longest input, in bytes: more costs time and reaches nothing new. */
const inputMaxBytes = 16 * 2 ** 10;

const pieces: readonly Uint8Array[] = [
  ...[
    '',
    '\n',
    ': ',
    '- ',
    '{',
    '}',
    '[',
    ']',
    '"',
    "'",
    '|',
    '*a',
    '&a ',
    '<<: ',
    '#',
    '\t',
    '\0',
    '~',
    '..',
    '/',
    '.',
  ],
  ...['{{x}}', '-1', '0', '1e999', '9007199254740993', '18446744073709551615', 'null', 'true', '__proto__', '!!js '],
  ...['constructor', '\ud83d\ude00', '\u202e', '\x1b[31m', '%s', '(a|a)*', 'a*a*a*', '[', '{1..99999}', '.labrun/log'],
].map((text) => Buffer.from(text));
const wild: readonly number[] = [0x00, 0x01, 0x7f, 0x80, 0xff, 0x0a, 0xc0];

/** A neighbour of an input: bytes changed, cut, doubled, replaced by what trips readers, or joined with another input. */
export function mutate(input: Uint8Array, others: readonly Uint8Array[], chance: Chance): Uint8Array {
  let bytes: Uint8Array = input;
  for (let steps = 1 + chance.below(6); steps > 0; steps--) bytes = step(bytes, others, chance);
  return bytes.subarray(0, inputMaxBytes);
}

function step(bytes: Uint8Array, others: readonly Uint8Array[], chance: Chance): Uint8Array {
  const at = chance.below(bytes.length + 1);
  const end = Math.min(bytes.length, at + chance.below(40));
  const around = (middle: Uint8Array) => Buffer.concat([bytes.subarray(0, at), middle, bytes.subarray(end)]);
  switch (chance.below(7)) {
    case 0: {
      const changed = Buffer.from(bytes);
      if (changed.length > 0) changed[chance.below(changed.length)] = chance.below(256);
      return changed;
    }
    case 1:
      return around(Buffer.alloc(0));
    case 2:
      return around(Buffer.concat([bytes.subarray(at, end), bytes.subarray(at, end)]));
    case 3:
      return around(Buffer.from([chance.pick(wild)]));
    case 4: {
      const other = others.length > 0 ? chance.pick(others) : bytes;
      const from = chance.below(other.length);
      return around(other.subarray(from, from + chance.below(200)));
    }
    default:
      return around(chance.pick(pieces));
  }
}
