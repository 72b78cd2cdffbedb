import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import type { TrackingName } from '../../../node-agent/executor/identity.ts';
import { isAlive, readProcess } from '../../../node-agent/executor/process-table.ts';
import type { FreezingName } from '../../../node-agent/ports.ts';
import { anExecutor, aRequest, aStarted, canTrackBy, logOf, pidIn } from '../../kit/an-executor.ts';
import { countingScript, counts, countsOn } from '../../kit/counting-job.ts';
import { heldBy } from '../../kit/held-by.ts';
import { buildOtherExecutor, OtherExecutor } from '../../kit/other-executor.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { until } from '../../kit/until.ts';

/** Every way to find trees, with every way to stop them that goes with it. */
const ways: readonly (readonly [TrackingName, FreezingName])[] = [
  ['cgroup-v2', 'cgroup-v2'],
  ['cgroup-v2', 'cgroup-v1'],
  ['cgroup-v2', 'stop'],
  ['cgroup-v1', 'cgroup-v1'],
  ['cgroup-v1', 'stop'],
  ['subreaper', 'stop'],
  ['session', 'stop'],
];

/** In which a process that runs would count on. */
const aWhileMs = 150;

let program = '';
beforeAll(async () => {
  program = await buildOtherExecutor();
});

describe.each(ways)('by %s, frozen by %s', (tracking, freezing) => {
  const works = canTrackBy(tracking) && (freezing !== 'cgroup-v1' || canTrackBy('cgroup-v1'));
  const test = it.skipIf(!works);
  const open = (root: string) => anExecutor(root, tracking, true, [freezing]);
  const script = countingScript(tracking !== 'session');

  test('a tree stands still, whatever its processes did to get away, and goes on', async () => {
    const executor = await open(scratchFolder());
    expect(executor.freezing).toBe(freezing);
    const { home, running } = await aStarted(executor, script);
    await countsOn(home);
    expect(await executor.isFrozen(home)).toBe(false);
    const frozen = await executor.freeze(home);
    expect(frozen).toMatchObject({ missed: [] });
    expect(frozen.processes).toBeGreaterThanOrEqual(4);
    expect((await executor.processes(home)).map(heldBy)).toContain(freezing);
    await standsStill(home);
    expect(await executor.isFrozen(home)).toBe(true);
    expect(await executor.freeze(home)).toMatchObject({ missed: [] });
    await standsStill(home);
    await executor.thaw(home);
    expect(await executor.isFrozen(home)).toBe(false);
    await countsOn(home);
    await executor.kill(home, 0);
    expect(await running.ended).toMatchObject({ kind: 'signalled' });
  });

  test('a tree that grows as fast as it can stands still, too', async () => {
    const executor = await open(scratchFolder());
    const grow = 'while :; do sleep 0.2 & done';
    const { home } = await aStarted(executor, `sh -c '${grow}' & sh -c '${grow}' & echo >ready; wait`);
    await until('it grows', async () => (await executor.processes(home)).length > 20);
    // On a busy machine hundreds wait for their turn to stop; whoever was missed is stopped at the next look.
    await until('it stands still', async () => (await executor.freeze(home)).missed.length === 0);
    const before = await executor.processes(home);
    await sleep(2 * aWhileMs); // longer than a `sleep` of the tree takes
    // Nobody came. One that was past its last word already, in the kernel, may be gone.
    expect(before).toEqual(expect.arrayContaining([...(await executor.processes(home))]));
    await executor.kill(home, 0);
    expect(await executor.processes(home)).toEqual([]);
  });

  test('a thaw that comes before a freeze has done its work wins', async () => {
    const executor = await open(scratchFolder());
    const { home } = await aStarted(executor, script);
    await countsOn(home);
    for (let round = 0; round < 5; round++) {
      const frozen = executor.freeze(home);
      await executor.thaw(home);
      await frozen;
    }
    expect(await executor.isFrozen(home)).toBe(false);
    await countsOn(home);
    const [last] = await Promise.all([executor.thaw(home).then(() => executor.freeze(home)), executor.freeze(home)]);
    expect(last).toMatchObject({ missed: [] });
    await standsStill(home);
  });

  test('the next agent knows that a tree is frozen when the first was killed, and lets it go', async () => {
    const root = scratchFolder();
    const options = { folder: join(root, 'supervisors'), trackings: [tracking], freezings: [freezing] };
    const { executor: first } = await OtherExecutor.open(program, options);
    const { home } = await aStarted(first, script, root);
    await countsOn(home);
    await first.freeze(home);
    await first.die();
    await standsStill(home);
    const second = await open(root);
    const adopted = await second.adopt(home);
    expect(await second.isFrozen(home)).toBe(true);
    expect(await second.freeze(home)).toMatchObject({ missed: [] });
    await standsStill(home);
    await second.thaw(home);
    expect(await second.isFrozen(home)).toBe(false);
    await countsOn(home);
    await second.kill(home, 0);
    expect(await adopted?.ended).toMatchObject({ kind: 'signalled' });
  });

  test('a frozen tree can be killed, and hears SIGTERM before anything of it runs again', async () => {
    const executor = await open(scratchFolder());
    const polite = 'trap "echo bye; exit 3" TERM; while :; do echo >>worked; echo >ready; sleep 0.01; done';
    const { home, request, running } = await aStarted(executor, polite);
    await until('it is ready', () => existsSync(join(home, 'ready')));
    await executor.freeze(home);
    const worked = readFileSync(join(home, 'worked'), 'utf8');
    await executor.kill(home, 10_000);
    expect(await running.ended).toMatchObject({ kind: 'exited', exitCode: 3 });
    expect(logOf(request)).toContain('bye');
    // One line may have been on its way.
    expect(readFileSync(join(home, 'worked'), 'utf8').length - worked.length).toBeLessThanOrEqual(1);
    expect(await executor.isFrozen(home)).toBe(false);
  });

  test('of a main process that somebody kills meanwhile the end is known after the thaw, at the latest', async () => {
    const executor = await open(scratchFolder());
    const { home, running } = await aStarted(executor, 'echo $$ >pid; exec sleep 100');
    const pid = await until('the job writes its pid', () => pidIn(join(home, 'pid')));
    await executor.freeze(home);
    process.kill(pid, 'SIGKILL');
    await executor.thaw(home);
    expect(await running.ended).toMatchObject({ kind: 'signalled', signal: 9 });
    expect(isAlive(pid)).toBe(false);
  });

  test('the next agent learns how a tree ended that was frozen when somebody killed it', async () => {
    const root = scratchFolder();
    const options = { folder: join(root, 'supervisors'), trackings: [tracking], freezings: [freezing] };
    const { executor: first } = await OtherExecutor.open(program, options);
    const { home } = await aStarted(first, 'echo $$ >pid; exec sleep 100', root);
    const pid = await until('the job writes its pid', () => pidIn(join(home, 'pid')));
    await first.freeze(home);
    process.kill(pid, 'SIGKILL');
    await first.die();
    const second = await open(root);
    const adopted = await second.adopt(home);
    await second.thaw(home); // the freezer of version 1 keeps back even SIGKILL
    expect(await adopted?.ended).toMatchObject({ kind: 'signalled', signal: 9 });
  });

  test('what the job had stopped itself stays stopped when it goes on', async () => {
    const executor = await open(scratchFolder());
    const { home } = await aStarted(executor, `sh -c 'echo $$ >pid; kill -STOP $$; exit 1' & ${script}`);
    const pid = await until('it writes its pid', () => pidIn(join(home, 'pid')));
    await until('it has stopped itself', () => readProcess(pid)?.state === 'T');
    await countsOn(home);
    await executor.freeze(home);
    await executor.freeze(home);
    await executor.thaw(home);
    await countsOn(home);
    expect(readProcess(pid)?.state).toBe('T');
  });

  test('the next tree of a supervisor whose tree was frozen is not', async () => {
    const root = scratchFolder();
    const executor = await open(root);
    const { home, running } = await aStarted(executor, 'echo $$ >pid; (setsid sleep 100 &) ; sleep 100', root);
    await until('it runs', async () => (await executor.processes(home)).length === 3);
    await executor.freeze(home);
    for (const pid of await executor.processes(home)) process.kill(pid, 'SIGKILL');
    if (freezing !== 'cgroup-v1') {
      await until('all of it is gone', async () => (await executor.processes(home)).length === 0);
    }
    await executor.kill(home, 0);
    expect(await running.ended).toMatchObject({ kind: 'signalled', signal: 9 });
    const next = await executor.start(aRequest(root, 'exit 5'));
    expect(await next.ended).toMatchObject({ kind: 'exited', exitCode: 5 });
  });

  test('nothing to freeze or to thaw is no trouble', async () => {
    const root = scratchFolder();
    const executor = await open(root);
    const { home, running } = await aStarted(executor, 'true', root);
    await running.ended;
    expect(await executor.freeze(home)).toMatchObject({ processes: 0, missed: [] });
    expect(await executor.isFrozen(home)).toBe(false);
    await executor.thaw(home);
    await executor.thaw(join(root, 'nowhere'));
  });
});

async function standsStill(home: string): Promise<void> {
  const before = counts(home);
  expect(Object.keys(before)).toHaveLength(4);
  await sleep(aWhileMs);
  expect(counts(home)).toEqual(before);
}
