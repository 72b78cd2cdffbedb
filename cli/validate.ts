import { loadJobFile } from './job-file.ts';
import { counted, type Printer } from './print.ts';

/** Reads a job file as `submit` would, without a head. */
export async function validate(
  [file]: readonly string[],
  options: { readonly json?: boolean },
  print: Printer,
): Promise<number> {
  const { spec, files } = await loadJobFile(file, {}, print);
  const jobs = spec.groups.reduce((sum, group) => sum + group.count, 0);
  const bytes = [...files.values()].reduce((sum, one) => sum + one.sizeBytes, 0);
  if (options.json) print.json({ namespace: spec.namespace, name: spec.name, jobs, files: files.size, bytes });
  else print.line(`${spec.namespace}/${spec.name}: ${counted(jobs, 'job')}, ${counted(files.size, 'file')}`);
  return 0;
}
