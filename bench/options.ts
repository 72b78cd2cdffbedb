import { parseArgs } from 'node:util';

/** `--jobs N` and `--rounds N`, with the bench's own defaults. Throws on anything else. */
export function readOptions(
  options: readonly string[],
  defaults: { readonly jobs: number; readonly rounds: number },
): { jobs: number; rounds: number } {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ args: [...options], options: { jobs: text, rounds: text } });
  const read = (name: 'jobs' | 'rounds') => {
    const value = values[name] === undefined ? defaults[name] : Number(values[name]);
    if (!Number.isInteger(value) || value < 1)
      throw new Error(`Cannot use --${name} ${values[name]}: write a count from 1`);
    return value;
  };
  return { jobs: read('jobs'), rounds: read('rounds') };
}
