import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { arch } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { systemClock } from '../../base/clock.ts';
import { removeGroup, setFrozen } from '../../node-agent/executor/cgroup.ts';
import { openExecutor } from '../../node-agent/executor/executor.ts';
import { readIdentity, type TrackingName } from '../../node-agent/executor/identity.ts';
import { killTree } from '../../node-agent/executor/kill-tree.ts';
import { groupsFolder } from '../../node-agent/executor/leftovers.ts';
import { isSupervisorAlive, shellCommand } from '../../node-agent/executor/tracking.ts';
import type { Executor, FreezingName, ProcessLimits, ProcessRequest } from '../../node-agent/ports.ts';
import { scratchFolder } from './scratch-folder.ts';
import { until } from './until.ts';

/** An executor with one kind of tracking (or the best one here) below `root`, closed when the test has finished. */
export async function anExecutor(
  root: string,
  tracking?: TrackingName,
  controls = true,
  freezings?: readonly FreezingName[],
  clock = systemClock,
): Promise<Executor> {
  const executor = await openExecutor({
    folder: join(root, 'supervisors'),
    clock,
    architecture: arch(),
    controls,
    ...(tracking ? { trackings: [tracking] } : {}),
    ...(freezings ? { freezings } : {}),
  });
  onTestFinished(() => executor.close());
  return executor;
}

/** Whether trees can be tracked like this here, by this user. */
export function canTrackBy(tracking: TrackingName): boolean {
  const groups = groupsFolder(tracking, '/labrun-test-probe');
  return groups !== undefined && removeGroup(groups) && shellCommand(tracking, arch()) !== undefined;
}

/** A shell script to run in a new home below `root`. */
export function aRequest(root: string, script: string, facts: Partial<ProcessRequest> = {}): ProcessRequest {
  const id = facts.id ?? `job-${process.pid}-${requests++}`;
  const home = join(root, id);
  mkdirSync(home, { recursive: true });
  const env = { PATH: '/usr/local/bin:/usr/bin:/bin' };
  return { home, id, argv: ['/bin/sh', '-c', script], cwd: home, env, limits: aLimit(), ...facts };
}

/** A script that was started in a new home, and is killed with all that it started when the test has finished. */
export async function aStarted<Running>(
  executor: { start(request: ProcessRequest): Promise<Running> },
  script: string,
  root = scratchFolder(),
  facts: Partial<ProcessRequest> = {},
): Promise<{ readonly home: string; readonly request: ProcessRequest; readonly running: Running }> {
  const request = aRequest(root, script, facts);
  const running = await executor.start(request);
  onTestFinished(() => killAllOf(request.home));
  return { home: request.home, request, running };
}

/** Without the agent, which may be gone: by the identity that the supervisor has written. */
async function killAllOf(home: string): Promise<void> {
  const identity = readIdentity(home);
  if (identity === undefined) return;
  if (identity.group !== '') setFrozen(identity.group, false);
  await killTree(identity, 0, systemClock, () => undefined);
  const isOver = () => existsSync(join(home, 'exit')) || !isSupervisorAlive(identity);
  await until('its supervisor has written how it ended', isOver);
}

/** The number that a job has written into a file, once it has. */
export function pidIn(file: string): number | undefined {
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  return text.endsWith('\n') ? Number(text) : undefined;
}

/** Limits that nothing in a test comes to, unless it says so. */
export function aLimit(facts: Partial<ProcessLimits> = {}): ProcessLimits {
  return { memoryBytes: 0, processes: 4096, diskBytes: 0, cpus: 1, ...facts };
}

/** With the number of this process no other has these ids: trees may be found by them. */
let requests = 1;

/** What the processes of a home have written to their log. */
export function logOf(request: ProcessRequest): string {
  return readFileSync(join(request.home, 'log'), 'utf8');
}
