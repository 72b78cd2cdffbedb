import { call } from '../base/channel/client.ts';
import { delay, systemClock } from '../base/clock.ts';
import { RefusedError } from '../base/errors.ts';
import { ulid } from '../base/ids.ts';
import { systemRandom } from '../base/random.ts';
import { type ContentHash, hashBytes } from '../base/transfer/hash.ts';
import type { ResolvedJobFile } from '../config/job-file.ts';
import { formatBytes } from '../config/units.ts';
import { SubmitMode, type SubmitRequest, type SubmitResponse } from '../proto/gen/labrun/v1/batches.ts';
import { type Head, type HeadOptions, withHead } from './connect.ts';
import { exitCodeOf, exitCodes, usageError } from './exit.ts';
import { loadJobFile } from './job-file.ts';
import { batchJson } from './json.ts';
import { counted, type Printer } from './print.ts';
import { startProgress } from './progress.ts';
import { askYesNo } from './terminal.ts';
import { type Content, upload } from './upload.ts';
import { type WatchOptions, watchBatch } from './watch.ts';

/** What `submit` can be told. */
export interface SubmitOptions extends HeadOptions {
  readonly dryRun?: boolean;
  readonly wait?: boolean;
  readonly name?: string;
  readonly add?: boolean;
  readonly changed?: boolean;
  readonly replace?: boolean;
  readonly yes?: boolean;
  readonly where?: readonly string[];
  readonly json?: boolean;
}

/** How long a submit is repeated when the connection breaks, and the pause before: the batch's id makes that harmless. */
const lostMaxMs = 60_000;
const pauseMs = 1_000;
const submitDeadlineMs = 120_000;

/** Reads, uploads what the head lacks, submits, and says under what name. */
export async function submit([file]: readonly string[], options: SubmitOptions, print: Printer): Promise<number> {
  modeOf(options); // what makes no sense together is told before a file is read
  return submitResolved(await loadJobFile(file, options, print), options, print);
}

/** Submits what has been read. `watching` says how `--wait` differs. */
export async function submitResolved(
  { spec, specBytes, sourceBytes, files }: ResolvedJobFile,
  options: SubmitOptions,
  print: Printer,
  watching: WatchOptions = {},
): Promise<number> {
  const mode = modeOf(options);
  const specHash = hashBytes(specBytes);
  const sourceHash = hashBytes(sourceBytes);
  const contents = new Map<ContentHash, Content>([
    ...[...files].map(([hash, one]): [ContentHash, Content] => [hash, { kind: 'file', ...one }]),
    [specHash, { kind: 'bytes', data: specBytes }],
    [sourceHash, { kind: 'bytes', data: sourceBytes }],
  ]);
  return withHead(options, async (head) => {
    const request: SubmitRequest = {
      batchId: ulid(systemClock.nowMs(), systemRandom.bytes(10)),
      namespace: spec.namespace,
      name: spec.name,
      specHash,
      sourceHash,
      mode,
      dryRun: options.dryRun === true,
    };
    if (mode === SubmitMode.REPLACE && !options.yes && !options.dryRun)
      await confirm(`${spec.namespace}/${spec.name}`, print);
    const progress = startProgress(print, 'bytes', 'uploading');
    // A dry run needs the spec on the head, to compare; the files stay here.
    const sending = options.dryRun ? new Map([...contents].filter(([, { kind }]) => kind === 'bytes')) : contents;
    const sent = await upload(head, spec.namespace, sending, progress).finally(() => progress.stop());
    const response = await send(head, request, print);
    tell(response, options, sent, print);
    if (!options.wait || options.dryRun) return exitCodes.done;
    const selector = {
      namespace: response.namespace,
      batch: response.batchId,
      job: '',
      states: [],
      reasons: [],
      where: [],
    };
    const watched = await watchBatch(head, selector, print, watching);
    if (options.json && watched.batch) print.json(batchJson(watched.batch));
    return watched.code;
  });
}

function modeOf(options: SubmitOptions): SubmitMode {
  if (options.changed && !options.add) throw usageError('Cannot use --changed alone: write --add --changed');
  if (options.add && options.replace) throw usageError('Cannot use --add and --replace together: choose one');
  if (options.replace) return SubmitMode.REPLACE;
  if (options.add) return options.changed ? SubmitMode.ADD_CHANGED : SubmitMode.ADD;
  return SubmitMode.NEW;
}

/**
 * Sends the submit, again with the same id when the connection breaks: the head has what was uploaded, and may only be
 * restarted. Whoever gives up is told that it may have arrived all the same.
 */
async function send(head: Head, request: SubmitRequest, print: Printer): Promise<SubmitResponse> {
  const untilMs = systemClock.monotonicMs() + lostMaxMs;
  for (let isTold = false; ; isTold = true) {
    try {
      return await call(head.batches, head.batches.submit, request, {
        metadata: head.metadata,
        deadlineMs: submitDeadlineMs,
      });
    } catch (error) {
      if (exitCodeOf(error) !== exitCodes.unreachable) throw error;
      if (systemClock.monotonicMs() > untilMs) {
        if (!request.dryRun)
          print.note(
            `It may have arrived: see "labrun status ${request.namespace}/${request.name}" before you submit again`,
          );
        throw error;
      }
      if (!isTold && !(error instanceof RefusedError)) print.note('The connection to the head is lost; trying again');
      await delay(systemClock, pauseMs);
    }
  }
}

function tell(
  response: SubmitResponse,
  options: SubmitOptions,
  sent: { sentBytes: number; sentFiles: number },
  print: Printer,
): void {
  const name = `${response.namespace}/${response.name}`;
  const { newJobs, unchangedJobs, changedJobs } = response;
  for (const warning of response.warnings) print.note(`Warning: ${warning}`);
  if (options.json) {
    if (!options.wait)
      print.json({
        namespace: response.namespace,
        name: response.name,
        id: response.batchId,
        newJobs,
        unchangedJobs,
        changedJobs,
        warnings: response.warnings,
        dryRun: options.dryRun === true,
      });
    return;
  }
  const counts = [
    `${newJobs} new`,
    ...(unchangedJobs > 0 ? [`${unchangedJobs} unchanged`] : []),
    ...(changedJobs > 0 ? [`${changedJobs} changed`] : []),
  ];
  if (options.dryRun) print.line(`Would submit ${name}: ${counts.join(', ')}`);
  else {
    print.line(name);
    print.note(`${counts.join(', ')}; uploaded ${counted(sent.sentFiles, 'file')}, ${formatBytes(sent.sentBytes)}`);
  }
}

async function confirm(name: string, print: Printer): Promise<void> {
  if (!process.stdin.isTTY) throw usageError(`Cannot replace ${name} without asking: add --yes`);
  const sure = await askYesNo(`Cancel what is live of ${name} and move its results to .replaced? [y/N] `);
  if (!sure) throw usageError(`Left ${name} as it is`);
  print.note(`Replacing ${name}`);
}
