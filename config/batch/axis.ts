import { didYouMean } from '../reading/nearest.ts';
import type { Path } from '../reading/problems.ts';
import type { Written } from '../reading/written.ts';
import type { Matrix } from '../spec.ts';
import { placeholdersIn } from '../template.ts';

/** What is wrong with the name of an axis, or nothing. Names become `{{axis}}` and `LABRUN_PARAM_<AXIS>`. */
export function axisNameProblem(name: string): string | undefined {
  if (name === '') return 'has no name';
  if (name.length > 60) return 'has a name of more than 60 characters';
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name))
    return 'must be letters, digits and _ . -, the first a letter or digit';
  return undefined;
}

/** Notes every `{{name}}` of a template that is no axis of its jobs. */
export function checkPlaceholders(written: Written, template: string, matrix: Matrix | undefined, at: Path): void {
  if (!template.includes('{{')) return;
  const names = matrix?.axes.map(({ name }) => name) ?? [];
  for (const name of placeholdersIn(template)) {
    if (names.includes(name)) continue;
    const known = names.length === 0 ? 'its job has no matrix' : `axes: ${names.join(', ')}`;
    written.problem(at, `no axis "${name}" for {{${name}}}${didYouMean(name, names)} (${known})`);
  }
}
