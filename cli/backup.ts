import { resolve } from 'node:path';
import { readStream } from '../base/channel/streams.ts';
import { formatBytes } from '../config/units.ts';
import type { BackupSummary } from '../proto/gen/labrun/v1/upkeep.ts';
import { type HeadOptions, withHead } from './connect.ts';
import { exitCodes } from './exit.ts';
import { localTimes } from './local-times.ts';
import { counted, type Printer } from './print.ts';

/** Has the head copy all it knows into a folder, and reads the copy back. */
export async function backup(
  [target = '']: readonly string[],
  options: HeadOptions & { readonly json?: boolean },
  print: Printer,
): Promise<number> {
  const folder = resolve(target);
  const made = await withHead(options, async (head) => {
    let step = '';
    let summary: BackupSummary | undefined;
    for await (const message of readStream(head.upkeep.backup({ folder }, head.metadata))) {
      if (message.step !== step && message.step !== 'complete' && print.progress)
        print.note(`Copying ${message.step} …`);
      ({ step } = message);
      summary = message.summary ?? summary;
    }
    return summary;
  });
  const { readBackup } = await import('../head/main.ts');
  const { clusterId: cluster } = await readBackup(folder);
  if (!made) throw new Error(`The head said nothing of its backup in ${folder}`);
  const { seq, inputFiles, inputBytes, linkedFiles, missingInputs, archiveFolder } = made;
  const databaseBytes = Number(made.databaseBytes);
  const counts = { inputFiles: Number(inputFiles), inputBytes: Number(inputBytes), linkedFiles: Number(linkedFiles) };
  if (options.json) {
    print.json({ folder, cluster, seq: Number(seq), databaseBytes, ...counts, missingInputs, archive: archiveFolder });
    return exitCodes.done;
  }
  print.line(`Backed up cluster ${cluster} as of event ${seq} into ${folder}, and read it back`);
  const inputs = `${counted(counts.inputFiles, 'input file')} (${formatBytes(counts.inputBytes)})`;
  print.line(`Database ${formatBytes(databaseBytes)}, ${inputs}, settings, and the key of the cluster's authority`);
  if (counts.linkedFiles > 0)
    print.note(
      `${counted(counts.linkedFiles, 'input file')} share the head's own bytes: this protects from mistakes, not from a disk that dies`,
    );
  for (const hash of missingInputs) print.note(`Not there any more, though a batch needs it: ${hash}`);
  print.note(`Results are not in it; they are in ${archiveFolder}`);
  return exitCodes.done;
}

/** Makes a new data folder of a backup. The old head must not serve any more: two would give out the same numbers. */
export async function restore(
  [from = '']: readonly string[],
  options: { readonly data: string; readonly archive?: string; readonly json?: boolean },
  print: Printer,
): Promise<number> {
  const { restoreHead } = await import('../head/main.ts');
  const dataFolder = resolve(options.data);
  const archiveFolder = options.archive === undefined ? undefined : resolve(options.archive);
  const made = await restoreHead({ from, dataFolder, archiveFolder });
  const { facts, batches, jobs, nodes, users, inputFiles, inputBytes, archiveIsThere } = made;
  const { clusterId: cluster, seq, madeAt } = facts;
  if (options.json) {
    const counts = { batches, jobs, nodes, users, inputFiles, inputBytes };
    print.json({ data: dataFolder, cluster, seq, madeAt, ...counts, archive: made.archiveFolder, archiveIsThere });
    return exitCodes.done;
  }
  print.line(`Restored cluster ${cluster} as of ${localTimes(madeAt)} (event ${seq}) into ${dataFolder}`);
  const people = `${counted(nodes, 'node')}, ${counted(users, 'user')}`;
  const inputs = `${counted(inputFiles, 'input file')} (${formatBytes(inputBytes)})`;
  print.line(`${batches} ${batches === 1 ? 'batch' : 'batches'} with ${counted(jobs, 'job')}, ${people}, ${inputs}`);
  print.note(
    archiveIsThere
      ? `Results are read and written in ${made.archiveFolder}`
      : `There are no results here: ${made.archiveFolder} is not there; put it back, or restore with --archive FOLDER`,
  );
  print.note(`Start it only where the old head never serves again: labrun head start --data ${options.data}`);
  return exitCodes.done;
}
