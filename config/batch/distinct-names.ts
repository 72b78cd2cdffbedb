import { nameKey, nameMax, nameProblem } from '../../base/names.ts';
import type { JobGroup } from '../spec.ts';
import { fitForName, splitTemplate } from '../template.ts';

/**
 * Whether it is plain from the axes alone that every job of a group has a good name of its own, so that 100,000 names
 * need not be made to find out. `false` says nothing: the names must be looked at.
 */
export function namesPlainlyDistinct(group: JobGroup): boolean {
  const { matrix } = group;
  if (matrix === undefined || matrix.cells !== undefined) return false;
  const parts = splitTemplate(group.name);
  const [first] = parts;
  if (first === undefined || first.kind === 'axis' || nameProblem(first.text) !== undefined) return false;
  let longest = 0;
  for (const [at, part] of parts.entries()) {
    if (part.kind === 'text') {
      if (nameProblem(`x${part.text}`) !== undefined) return false;
      longest += part.text.length;
      continue;
    }
    const values = matrix.axes
      .find(({ name }) => name === part.axis)
      ?.values.map((value) => nameKey(fitForName(value)));
    if (values === undefined || new Set(values).size !== values.length) return false;
    longest += values.reduce((most, value) => Math.max(most, value.length), 0);
    // A value must end where the text after it begins, whatever the value is; only then can a name be read in one way.
    const next = parts[at + 1];
    const end = next?.kind === 'text' ? nameKey(next.text.charAt(0)) : undefined;
    if (next !== undefined && (end === undefined || values.some((value) => value.includes(end)))) return false;
  }
  const named = new Set(parts.map((part) => (part.kind === 'axis' ? part.axis : '')));
  return longest <= nameMax && matrix.axes.every(({ name, values }) => values.length === 1 || named.has(name));
}
