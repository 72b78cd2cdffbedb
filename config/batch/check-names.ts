import { nameKey, nameProblem } from '../../base/names.ts';
import { paramsAt } from '../matrix.ts';
import type { Written } from '../reading/written.ts';
import type { Params } from '../spec.ts';
import { jobNameOf } from '../template.ts';
import { namesPlainlyDistinct } from './distinct-names.ts';
import type { DraftGroup } from './draft.ts';

/** Every job's name is fit to be a folder and its own, also where case is ignored. */
export function checkNames(written: Written, groups: readonly DraftGroup[]): void {
  const [only, ...others] = groups;
  const isSweep = only !== undefined && others.length === 0 && only.group.count > 1;
  if (isSweep && namesPlainlyDistinct(only.group)) return;
  const owners = new Map<string, { readonly groupIndex: number; readonly row: number }>();
  for (const [groupIndex, { group, nameAt }] of groups.entries()) {
    for (let row = 0; row < group.count; row++) {
      const params = paramsAt(group.matrix, row);
      const name = jobNameOf(group, params);
      const problem = nameProblem(name) ?? takenProblem(name);
      if (name.includes('{{')) break; // an axis that does not exist, told already
      const key = nameKey(name);
      const owner = owners.get(key);
      if (problem !== undefined) {
        written.problem(nameAt, `the job name "${name}" ${problem}`);
        break; // the other rows' names are made alike
      }
      if (owner !== undefined) {
        written.problem(nameAt, clash(name, params, groups, owner, groupIndex));
        break;
      }
      owners.set(key, { groupIndex, row });
    }
  }
}

/** Beside the folders of jobs `labrun pull` writes a file. */
function takenProblem(name: string): string | undefined {
  if (nameKey(name) !== 'jobs.csv') return undefined;
  return 'is that of the table that "labrun pull" writes beside the jobs; give the job another name';
}

function clash(
  name: string,
  params: Params,
  groups: readonly DraftGroup[],
  owner: { readonly groupIndex: number; readonly row: number },
  groupIndex: number,
): string {
  const first = groups[owner.groupIndex]?.group;
  const other = paramsAt(first?.matrix, owner.row);
  const otherName = first === undefined ? name : jobNameOf(first, other);
  const spelled = otherName === name ? `"${name}"` : `"${otherName}" and "${name}" (case is ignored)`;
  if (owner.groupIndex === groupIndex) {
    return `two rows make one job name, ${spelled}: ${rowText(other)}, and ${rowText(params)}; put what differs into name: with {{axis}}, or drop one`;
  }
  return `two jobs have one name, ${spelled}; give one another name`;
}

function rowText(params: Params): string {
  return Object.entries(params)
    .map(([axis, value]) => `${axis}=${JSON.stringify(value)}`)
    .join(' ');
}
