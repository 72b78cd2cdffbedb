import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { arch } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { systemClock } from '../../base/clock.ts';
import { findFreezerFolder, removeGroup } from '../../node-agent/executor/cgroup.ts';
import { openExecutor } from '../../node-agent/executor/executor.ts';
import { FrozenTrees } from '../../node-agent/executor/frozen-trees.ts';
import { readIdentity, type TrackingName } from '../../node-agent/executor/identity.ts';
import { killTree } from '../../node-agent/executor/kill-tree.ts';
import { groupsFolder, groupsName } from '../../node-agent/executor/leftovers.ts';
import { isSupervisorAlive, shellCommand } from '../../node-agent/executor/tracking.ts';
import type { Executor, FreezingName, ProcessLimits, ProcessRequest } from '../../node-agent/ports.ts';
import { scratchFolder } from './scratch-folder.ts';

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

/** A shell script to run in a new home below `root`. All that it has started ends with the test, however that ends. */
export function aRequest(root: string, script: string, facts: Partial<ProcessRequest> = {}): ProcessRequest {
  const id = facts.id ?? `job-${process.pid}-${requests++}`;
  const home = join(root, id);
  mkdirSync(home, { recursive: true });
  onTestFinished(() => endAllOf(home));
  const env = { PATH: '/usr/local/bin:/usr/bin:/bin' };
  return { home, id, argv: ['/bin/sh', '-c', script], cwd: home, env, limits: aLimit(), ...facts };
}

/** The same, started. */
export async function aStarted<Running>(
  executor: { start(request: ProcessRequest): Promise<Running> },
  script: string,
  root = scratchFolder(),
  facts: Partial<ProcessRequest> = {},
): Promise<{ readonly home: string; readonly request: ProcessRequest; readonly running: Running }> {
  const request = aRequest(root, script, facts);
  const running = await executor.start(request);
  return { home: request.home, request, running };
}

/**
 * Kills what runs in a home, if anything was ever started there; without its agent, which may be gone, or frozen with it: by
 * the identity that the supervisor has written.
 */
export async function endAllOf(home: string): Promise<void> {
  const identity = readIdentity(home);
  if (identity === undefined) return;
  const freezerParent = findFreezerFolder(groupsName(dirname(identity.folder))) ?? '';
  const frozen = new FrozenTrees({ clock: systemClock, freezing: 'stop', freezerParent });
  const isOver = () => existsSync(join(home, 'exit')) || !isSupervisorAlive(identity);
  await killTree(identity, 0, systemClock, () => frozen.thaw(home, identity), isOver);
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
