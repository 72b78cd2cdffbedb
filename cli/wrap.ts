import { withoutColour } from './colours.ts';

/** Lines that fit a width, in characters: those that are longer go on below, a little to the right and without colour. */
export function wrapped(line: string, width: number): readonly string[] {
  const plain = withoutColour(line);
  if (plain.length <= width) return [line];
  return joined(plain.split(' '), ' ', width);
}

/** Parts side by side, as many as fit; each stays in one piece unless it is longer than a line. */
export function joined(parts: readonly string[], gap: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line: string | undefined;
  for (const part of parts.flatMap((text) => pieces(text, width - indent.length))) {
    const longer: string = line === undefined ? part : `${line}${gap}${part}`;
    if (line === undefined || longer.length <= width) line = longer;
    else {
      lines.push(line);
      line = `${indent}${part}`;
    }
  }
  return line === undefined ? lines : [...lines, line];
}

const indent = '  ';

function pieces(text: string, width: number): readonly string[] {
  const size = Math.max(1, width);
  if (text.length <= size) return [text];
  return [text.slice(0, size), ...pieces(text.slice(size), size)];
}
