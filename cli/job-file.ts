import { existsSync } from 'node:fs';
import { type ResolvedJobFile, resolveJobFile } from '../config/job-file.ts';
import { callerName } from './connect.ts';
import { usageError } from './exit.ts';
import type { Printer } from './print.ts';
import { startProgress } from './progress.ts';
import { readWhere } from './selector.ts';

/** What narrows or renames a job file. */
export interface JobFileOptions {
  readonly name?: string;
  readonly where?: readonly string[];
}

/** Names a job file has when none is given, the first that is there. */
const defaultFiles = ['labrun.yaml', 'labrun.yml', 'labrun.json', 'distribute-jobs.yaml'];

/** The job file that a command is about: the one named, else the one in this folder. */
export function findJobFile(named: string | undefined): string {
  if (named !== undefined) return named;
  const found = defaultFiles.find((name) => existsSync(name));
  if (found !== undefined) return found;
  throw usageError(
    `Cannot find a job file: there is no ${defaultFiles.join(', ')} here; name one, or see "labrun template command"`,
  );
}

/** Reads a job file and hashes what it names, with a bar while that takes long. */
export async function loadJobFile(
  named: string | undefined,
  options: JobFileOptions,
  print: Printer,
): Promise<ResolvedJobFile> {
  const path = findJobFile(named);
  const progress = startProgress(print, 'bytes', 'reading');
  try {
    return await resolveJobFile(path, {
      user: await callerName(),
      name: options.name,
      where: options.where?.map(readWhere),
      onHashed: ({ bytes, bytesTotal }) => progress.update(bytes, bytesTotal),
    });
  } finally {
    progress.stop();
  }
}
