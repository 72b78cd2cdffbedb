import { Fault, isSystemError, messageOf } from '../../base/errors.ts';
import type { Attempt, ReturnReason } from '../attempts/attempt.ts';
import type { AttemptEvent } from '../attempts/event.ts';
import type { ProcessRequest, Workspace } from '../ports.ts';
import type { Builds } from './builds.ts';
import type { LocatedOrder, Specs } from './specs.ts';

/** What staging needs. */
export interface StagePorts {
  readonly specs: Pick<Specs, 'order'>;
  readonly builds: Pick<Builds, 'ensure' | 'release'>;
  readonly workspace: Workspace;
  /** Names of what this node offers now. */
  capabilities(): Readonly<Record<string, string>>;
}

/** A job laid out and ready to start. */
export interface StagedJob {
  readonly located: LocatedOrder;
  readonly request: ProcessRequest;
}

/** Fetches and lays out everything a job needs, its build first. Rejects with what `stageProblem` can read. */
export async function stageJob(
  ports: StagePorts,
  attempt: Attempt,
  signal: AbortSignal,
  emit: (event: AttemptEvent) => void,
): Promise<StagedJob> {
  const { id, assignment } = attempt;
  const located = await ports.specs.order(id, assignment, signal);
  const offered = ports.capabilities();
  const gone = located.capabilities.filter((name) => !Object.hasOwn(offered, name));
  if (gone.length > 0) throw new Fault('capability-gone', `this node does not offer ${gone.join(', ')} any more`);
  let waited = false;
  const build = await ports.builds.ensure(located, assignment.fence.batchId, signal, () => {
    waited = true;
    emit({ kind: 'build-awaited' });
  });
  if (waited) emit({ kind: 'build-ready' });
  signal.throwIfAborted();
  return { located, request: await ports.workspace.prepare(located.order, build, signal) };
}

/** What a failed staging means for the attempt. */
export function stageProblem(error: unknown): AttemptEvent {
  const message = messageOf(error);
  const reason = returnReason(error);
  return reason ? { kind: 'stage-returned', reason, message } : { kind: 'stage-failed', message };
}

/** Trouble of this node, not of the job: another node may do better. */
function returnReason(error: unknown): ReturnReason | undefined {
  if (isSystemError(error, 'ENOSPC', 'EDQUOT', 'EROFS')) return 'disk-full';
  if (isSystemError(error, 'EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EIO')) return 'staging-failed';
  if (!(error instanceof Fault)) return undefined;
  switch (error.code) {
    case 'disk-full':
    case 'build-failed':
    case 'capability-gone':
      return error.code;
    case 'lost':
    case 'exhausted':
    case 'supervisor-failed':
      return 'staging-failed';
    default:
      return undefined;
  }
}
