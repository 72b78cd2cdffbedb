import { parseArgs } from 'node:util';

/** Counts such as `--jobs N`, with the bench's own names and defaults. Throws on anything else. */
export function readOptions<Name extends string>(
  options: readonly string[],
  defaults: Readonly<Record<Name, number>>,
): Record<Name, number> {
  const names = Object.keys(defaults) as Name[]; // its keys are its names
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ args: [...options], options: Object.fromEntries(names.map((name) => [name, text])) });
  const counts: Record<Name, number> = { ...defaults };
  for (const name of names) {
    const written = values[name];
    if (written === undefined) continue;
    counts[name] = Number(written);
    if (!Number.isInteger(counts[name]) || counts[name] < 1)
      throw new Error(`Cannot use --${name} ${written}: write a count from 1`);
  }
  return counts;
}
