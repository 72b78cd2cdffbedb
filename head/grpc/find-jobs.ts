import { orThrow } from '../../base/channel/answer.ts';
import { RefusedError, refused } from '../../base/errors.ts';
import type { BatchId } from '../../base/ids.ts';
import type { Selector } from '../../proto/gen/labrun/v1/common.ts';
import type { ArchiveLayout } from '../archive/layout.ts';
import type { HeadEngine } from '../ports.ts';
import { retiredJobs } from '../retired-jobs.ts';
import { readSelection, resolveBatch, type Selection } from '../select.ts';
import { type JobSeen, jobsOf, selectedJobs } from '../selected-jobs.ts';
import type { Specs } from '../specs.ts';
import type { CallFacts } from './handle.ts';

/** A batch that was found, as its doors name it. */
export interface BatchFound {
  readonly batchId: BatchId;
  readonly namespace: string;
  readonly name: string;
}

/** What finding batches and jobs needs. */
export interface FindPorts {
  readonly engine: HeadEngine;
  readonly specs: Specs;
  readonly layout: ArchiveLayout;
}

/** The batch a selector names, in a namespace the caller may ask about. Throws `RefusedError` when it names none or several. */
export async function findBatch(
  ports: FindPorts,
  selector: Selector | undefined,
  { caller, pass }: Pick<CallFacts, 'caller' | 'pass'>,
): Promise<BatchFound & { readonly selection: Selection }> {
  const selection = orThrow(readSelection(selector, caller.name));
  await pass.about({ namespace: selection.namespace });
  const batch = await ports.engine.query((state) => {
    const found = resolveBatch(state, selection);
    return 'kind' in found ? found : { batchId: found.id, namespace: found.namespace, name: found.name };
  });
  const found = orThrow(batch);
  // An id names a batch of any namespace.
  await pass.about({ namespace: found.namespace });
  return { ...found, selection };
}

/** The jobs a selector wants, a page at a time. Throws `RefusedError` when a job's name fits none or several. */
export async function* findJobs(
  ports: FindPorts,
  batchId: BatchId,
  selection: Selection,
): AsyncGenerator<readonly JobSeen[]> {
  const retired = await ports.engine.query((state) => state.retired.get(batchId));
  const all = retired ? retiredJobs(ports.layout, retired) : jobsOf(ports.engine, ports.specs, batchId);
  const pages = selectedJobs(all, selection);
  for (;;) {
    const { done, value } = await pages.next();
    if (!done) yield value;
    else if (value) throw new RefusedError(value);
    else return;
  }
}

/** The one job a selector names. Throws `RefusedError` when it names none or several. */
export async function findJob(ports: FindPorts, batchId: BatchId, selection: Selection): Promise<JobSeen> {
  let found: JobSeen | undefined;
  for await (const page of findJobs(ports, batchId, selection)) {
    const [first, second] = page;
    const another = second ?? (found && first);
    if (another) {
      throw new RefusedError(
        refused(
          'conflict',
          `Cannot choose one job: "${(found ?? first)?.name}", "${another.name}" and perhaps more fit; name one`,
        ),
      );
    }
    found = first;
  }
  if (!found) throw new RefusedError(refused('not-found', `Cannot find such a job in the batch "${selection.batch}"`));
  return found;
}
