import { readdir } from 'node:fs/promises';
import { orThrow } from '../../base/channel/answer.ts';
import type { Caller } from '../../base/channel/caller.ts';
import { isSystemError, RefusedError, refused } from '../../base/errors.ts';
import { asBatchId, type BatchId } from '../../base/ids.ts';
import { nameKey, nameProblem } from '../../base/names.ts';
import { asContentHash, type ContentHash } from '../../base/transfer/hash.ts';
import { buildDigest } from '../../config/digest.ts';
import type { BatchSpec } from '../../config/spec.ts';
import { SubmitMode, type SubmitRequest, type SubmitResponse } from '../../proto/gen/labrun/v1/batches.ts';
import { ownerOf } from '../archive/batch-folder.ts';
import type { BlobStore } from '../archive/blobs.ts';
import type { ArchiveLayout } from '../archive/layout.ts';
import type { Command } from '../scheduler/command.ts';
import { batchNameKey } from '../scheduler/draft.ts';
import type { Submission } from '../scheduler/event.ts';
import { nobodySuits } from '../scheduler/explain.ts';
import { rangesOf } from '../scheduler/job-ranges.ts';
import { knownBatch, specHashOf } from '../scheduler/retired.ts';
import { type Usage, usageWarnings } from '../usage.ts';
import { actorOf } from '../wire.ts';
import { type Comparison, compareSpecs, comparisonText } from './compare-specs.ts';
import type { FindPorts } from './find-jobs.ts';
import type { CallFacts } from './handle.ts';

/** What the submit door needs. */
export interface SubmitPorts extends FindPorts {
  readonly blobs: BlobStore;
  readonly usage: Usage;
}

/** A submit that has passed the door. */
interface Checked {
  readonly batchId: BatchId;
  readonly namespace: string;
  readonly name: string;
  readonly spec: BatchSpec;
  readonly submission: Submission;
  readonly mode: SubmitMode;
  readonly dryRun: boolean;
}

/** Files named when some are missing. */
const namedMax = 5;
/** Warnings in one answer. */
const warningsMax = 20;

/** Takes a batch, or adds to one. Repeatable: the same batch id and spec again is the same submit. */
export async function submit(
  ports: SubmitPorts,
  request: SubmitRequest,
  { caller, pass }: CallFacts,
): Promise<SubmitResponse> {
  await pass.about({ namespace: request.namespace });
  const checked = await check(ports, request);
  const jobs = checked.spec.groups.reduce((sum, group) => sum + group.count, 0);
  const old = await existing(ports, checked);
  const warnings = await warningsOf(ports, checked);
  const nearlyFull = usageWarnings(ports.usage, checked.namespace);
  // It is about to be refused, or soon will be: files may have been removed since they were counted.
  if (nearlyFull.length > 0) ports.usage.archive.recount(checked.namespace);
  warnings.push(...nearlyFull);
  const answer = { namespace: checked.namespace, name: checked.name, warnings };
  if (!old || old.repeated || checked.mode === SubmitMode.REPLACE) {
    if (!old) await checkFolder(ports.layout, checked);
    if (!checked.dryRun)
      await accept(ports, caller, submitCommand(checked, caller, old !== undefined && !old.repeated));
    const counts = { newJobs: jobs, unchangedJobs: 0, changedJobs: 0 };
    return { ...answer, batchId: checked.batchId, ...counts };
  }
  if (old.isRetired) {
    const { namespace, name, mode } = checked;
    const what = mode === SubmitMode.NEW ? 'submit' : 'add to';
    throw new RefusedError(
      refused(
        'conflict',
        `Cannot ${what} "${namespace}/${name}": the batch of that name ended long ago and is kept in the archive alone; ` +
          'use --name for another name, or --replace to start anew',
      ),
    );
  }
  const compared = await compareSpecs(checked.spec, old.specs, old.jobs);
  const counts = {
    newJobs: compared.added.length,
    unchangedJobs: compared.unchanged,
    changedJobs: compared.changed.length,
  };
  const withChanged = checked.mode === SubmitMode.ADD_CHANGED;
  if ((checked.mode !== SubmitMode.ADD && !withChanged) || (!withChanged && compared.changed.length > 0)) {
    throw new RefusedError(refused('conflict', clash(checked, compared)));
  }
  if (!checked.dryRun) {
    await accept(ports, caller, {
      kind: 'extend',
      extensionId: checked.batchId,
      submission: { ...checked.submission, batchId: old.batchId },
      added: rangesOf(compared.added),
      changed: compared.changed,
      partsSeen: old.specs.length,
    });
  }
  return { ...answer, batchId: old.batchId, ...counts };
}

async function check(ports: SubmitPorts, request: SubmitRequest): Promise<Checked> {
  const { namespace, name } = request;
  const batchId = asBatchId(request.batchId);
  const specHash = asContentHash(request.specHash);
  const problem = nameProblem(namespace) ?? nameProblem(name);
  if (problem)
    throw new RefusedError(refused('invalid', `Cannot submit "${namespace}/${name}": a name in it ${problem}`));
  if (!batchId || !specHash || (request.sourceHash !== '' && !asContentHash(request.sourceHash))) {
    throw new RefusedError(
      refused('invalid', `Cannot submit "${namespace}/${name}": its batch id, spec hash or source hash is none`),
    );
  }
  if (!(await ports.blobs.renew(namespace, specHash))) {
    throw new RefusedError(
      refused('conflict', `Cannot submit "${namespace}/${name}": its spec is not here; upload it first`),
    );
  }
  const spec = orThrow(await ports.specs.read(specHash));
  if (spec.namespace !== namespace || spec.name !== name) {
    const says = `${spec.namespace}/${spec.name}`;
    throw new RefusedError(refused('invalid', `Cannot submit "${namespace}/${name}": its spec says "${says}"`));
  }
  if (!request.dryRun) await checkBlobs(ports.blobs, spec, namespace, request.sourceHash);
  const submission: Submission = {
    batchId,
    specHash,
    sourceHash: request.sourceHash,
    features: spec.features,
    groups: spec.groups.map(({ count, needs, retries }) => ({ count, needs, retries })),
    buildDigest: buildDigest(spec),
    buildNeeds: spec.build?.needs,
  };
  return { batchId, namespace, name, spec, submission, mode: request.mode, dryRun: request.dryRun };
}

/** Every input must be here, and renewing its hold keeps it until the batch pins it. */
async function checkBlobs(blobs: BlobStore, spec: BatchSpec, namespace: string, sourceHash: string): Promise<void> {
  const named = new Map<ContentHash, string>();
  for (const [source, entries] of Object.entries(spec.sources)) {
    for (const entry of entries) {
      const hash = entry.kind === 'file' ? asContentHash(entry.hash) : undefined;
      if (entry.kind === 'file' && hash) named.set(hash, entry.path === '' ? source : `${source}/${entry.path}`);
    }
  }
  const written = asContentHash(sourceHash);
  if (written) named.set(written, 'the job file itself');
  const missing: string[] = [];
  for (const [hash, name] of named) if (!(await blobs.renew(namespace, hash))) missing.push(name);
  if (missing.length === 0) return;
  const more = missing.length > namedMax ? `, and ${missing.length - namedMax} more` : '';
  throw new RefusedError(
    refused(
      'conflict',
      `Cannot submit "${spec.namespace}/${spec.name}": these files are not on the head: ` +
        `${missing.slice(0, namedMax).join(', ')}${more}; submit again to upload them`,
    ),
  );
}

/** The batch that has this name, as far as comparing needs it. */
async function existing(ports: SubmitPorts, { batchId, namespace, name, submission }: Checked) {
  const found = await ports.engine.query((state) => {
    const same = knownBatch(state, batchId);
    const namedId = state.batchByName.get(batchNameKey(namespace, name));
    const batch = same ?? (namedId && knownBatch(state, namedId));
    const repeated = same !== undefined && specHashOf(same) === submission.specHash;
    if (batch && !('rows' in batch)) return { batchId: batch.id, repeated, isRetired: true, parts: [], jobs: [] };
    return (
      batch && {
        batchId: batch.id,
        isRetired: false,
        repeated,
        parts: batch.parts.map(({ specHash }) => specHash),
        jobs: Array.from({ length: batch.rows.count }, (_, index) => ({
          index,
          part: batch.rows.part[index] ?? 0,
          specIndex: batch.rows.specIndex[index] ?? 0,
        })),
      }
    );
  });
  if (!found) return undefined;
  const specs: BatchSpec[] = [];
  for (const hash of found.parts) specs.push(await ports.specs.get(hash));
  return { ...found, specs };
}

/** Nothing is ever merged into what labrun did not write, or into a name that differs by case alone. */
async function checkFolder(layout: ArchiveLayout, { namespace, name }: Checked): Promise<void> {
  const owner = await ownerOf(layout, namespace, name);
  if (owner !== undefined) {
    const whose = owner === 'foreign' ? 'labrun did not write' : 'belongs to a batch this head does not know';
    throw new RefusedError(
      refused(
        'conflict',
        `Cannot submit "${namespace}/${name}": the archive has a directory of that name that ${whose}; use --name`,
      ),
    );
  }
  for (const [folder, wanted] of [
    [layout.root, namespace],
    [layout.namespaceFolder(namespace), name],
  ] as const) {
    const twin = (await list(folder)).find((other) => other !== wanted && nameKey(other) === nameKey(wanted));
    if (twin === undefined) continue;
    throw new RefusedError(
      refused(
        'conflict',
        `Cannot submit "${namespace}/${name}": "${twin}" in the archive differs from "${wanted}" by case only`,
      ),
    );
  }
}

async function list(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return [];
    throw error;
  }
}

/** Templates that no node known so far could ever run: their jobs wait, and their owner should know. */
async function warningsOf(ports: SubmitPorts, { submission, spec }: Checked): Promise<string[]> {
  return await ports.engine.query((state) => {
    const warnings = submission.groups.flatMap(({ needs }, at) => {
      const why = nobodySuits(state, submission, needs);
      if (why === undefined) return [];
      return [state.nodes.size === 0 ? `${why}; the batch waits` : `"${spec.groups[at]?.name ?? ''}" waits: ${why}`];
    });
    return [...new Set(warnings)].slice(0, warningsMax);
  });
}

function submitCommand(checked: Checked, { name: by }: Caller, replace: boolean): Command {
  const { submission, namespace, name, spec } = checked;
  const { maxRunning, maxFailures, origin } = spec;
  return { kind: 'submit', submission, namespace, name, maxRunning, maxFailures, origin, replace, by };
}

async function accept(ports: SubmitPorts, caller: Caller, command: Command): Promise<void> {
  orThrow(await ports.engine.submit(actorOf(caller), command));
}

function clash({ namespace, name, mode }: Checked, compared: Comparison): string {
  const what = comparisonText(compared);
  if (mode === SubmitMode.ADD) {
    return `Cannot add to "${namespace}/${name}": ${what}; add --changed to run the changed ones again, or use --name`;
  }
  return (
    `Cannot submit "${namespace}/${name}": a batch of that name exists (${what}); ` +
    'use --add to queue the new jobs (with --changed, the changed ones too), --name for another name, or --replace to start anew'
  );
}
