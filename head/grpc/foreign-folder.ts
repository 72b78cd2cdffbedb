import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError } from '../../base/errors.ts';
import { nameProblem } from '../../base/names.ts';
import type { ArchiveLayout } from '../archive/layout.ts';
import { nameMatcher, type Selection } from '../select.ts';

/** Stands for a batch's id where labrun did not write the directory. Opaque to everyone else. */
const mark = 'folder:';

/**
 * The directories in a batch's folder that labrun did not write, each as if it were a job. Nothing when there is no such
 * folder; it must be named in full.
 */
export async function foreignJobs(
  layout: ArchiveLayout,
  selection: Selection,
): Promise<{ readonly job: string; readonly folder: string }[] | undefined> {
  const { namespace, batch } = selection;
  if (nameProblem(namespace) || nameProblem(batch)) return undefined;
  const folder = join(layout.namespaceFolder(namespace), batch);
  const matches = nameMatcher(selection.job);
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    const jobs = entries.filter((entry) => entry.isDirectory() && nameProblem(entry.name) === undefined);
    return jobs.filter(({ name }) => matches(name)).map(({ name }) => ({ job: name, folder: join(folder, name) }));
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

export function writeForeignId({ namespace, batch }: Pick<Selection, 'namespace' | 'batch'>): string {
  return `${mark}${namespace}/${batch}`;
}

/** The folder and namespace such an id stands for, or nothing when it is none. */
export function readForeignId(
  layout: ArchiveLayout,
  id: string,
): { readonly namespace: string; readonly folder: string } | undefined {
  const [namespace, batch, ...more] = id.startsWith(mark) ? id.slice(mark.length).split('/') : [];
  if (namespace === undefined || batch === undefined || more.length > 0) return undefined;
  if (nameProblem(namespace) || nameProblem(batch)) return undefined;
  return { namespace, folder: join(layout.namespaceFolder(namespace), batch) };
}
