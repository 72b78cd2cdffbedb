import { locateJob } from '../../config/matrix.ts';
import type { FoundCapability } from '../machine/capability.ts';
import type { BuildView, JobOrder } from '../ports.ts';
import type { AttemptFolders } from './attempt-folders.ts';
import { buildEnvironment } from './environment.ts';

/** Where a job is laid out, and over what. */
export interface JobPlace {
  readonly folders: AttemptFolders;
  /** Those that it needs, as this machine has them. */
  readonly capabilities: readonly FoundCapability[];
  readonly build: BuildView | undefined;
  /** What `LABRUN_INPUT` names. */
  readonly input: string;
  /** Variables that its runtime itself needs. */
  readonly runtimeEnv: Readonly<Record<string, string>>;
}

/** The whole environment of a job. */
export function jobEnvironment(order: JobOrder, place: JobPlace): Record<string, string> {
  const { folders, capabilities, build, input, runtimeEnv } = place;
  const { group } = locateJob(order.spec, order.specIndex);
  return buildEnvironment({
    ...order,
    needs: group.needs,
    userHome: folders.userHome,
    tmp: folders.tmp,
    declared: [order.spec.env, group.env, runtimeEnv],
    capabilities,
    build: build?.folder,
    job: { ...order, name: order.jobName, archive: folders.archive, input },
  });
}
