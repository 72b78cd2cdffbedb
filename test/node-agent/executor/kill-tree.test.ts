import { execFileSync } from 'node:child_process';
import { closeSync, constants, existsSync, openSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { setFrozen } from '../../../node-agent/executor/cgroup.ts';
import { readIdentity, type TrackingName } from '../../../node-agent/executor/identity.ts';
import { groupsFolder } from '../../../node-agent/executor/leftovers.ts';
import { isAlive, readProcess } from '../../../node-agent/executor/process-table.ts';
import { anExecutor, aRequest, canTrackBy, logOf, pidIn } from '../../kit/an-executor.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { until } from '../../kit/until.ts';

const here: readonly TrackingName[] = ['cgroup-v2', 'cgroup-v1', 'subreaper', 'session'];

/** Leaves the session, forks twice and clears its environment; says its pid when it has. */
const escaping = (file: string) => `env -i setsid sh -c '(sh -c "echo \\$\\$ >${file}; exec sleep 100" &)'`;

describe.each(here)('by %s', (tracking) => {
  const works = canTrackBy(tracking);
  const when = (applies: boolean) => it.skipIf(!works || !applies);
  const test = when(true);

  test('says what it uses', async () => {
    expect((await anExecutor(scratchFolder(), tracking)).tracking).toBe(tracking);
  });

  when(tracking !== 'session')('finds and kills a child that escaped by every trick', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root, tracking);
    const request = aRequest(root, `${escaping('escaped')}; exec sleep 100`);
    const running = await executor.start(request);
    const escaped = await until('the child has escaped', () => pidIn(join(request.home, 'escaped')));
    expect(await executor.processes(request.home)).toContain(escaped);
    await executor.kill(request.home, 5000);
    expect(isAlive(escaped)).toBe(false);
    expect(await running.ended).toMatchObject({ kind: 'signalled', signal: 15 });
    expect(await executor.processes(request.home)).toEqual([]);
  });

  test('finds and kills a daemon that outlived its job, then uses the supervisor again', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root, tracking);
    const request = aRequest(root, 'echo $PPID; setsid sh -c "echo \\$\\$ >daemon; exec sleep 100" & exit 0');
    expect(await (await executor.start(request)).ended).toMatchObject({ exitCode: 0 });
    const daemon = await until('the daemon runs', () => pidIn(join(request.home, 'daemon')));
    const meanwhile = aRequest(root, 'echo $PPID');
    await (await executor.start(meanwhile)).ended;
    expect(logOf(meanwhile)).not.toBe(logOf(request));
    expect(await executor.processes(request.home)).toEqual([daemon]);
    await executor.kill(request.home, 0);
    expect(isAlive(daemon)).toBe(false);
    const after = aRequest(root, 'echo $PPID');
    await (await executor.start(after)).ended;
    expect(logOf(after)).toBe(logOf(request));
  });

  test('finds the daemon of a job that ended without an agent', async () => {
    const root = scratchFolder();
    const first = await anExecutor(root, tracking);
    const gate = join(root, 'gate');
    const script = `setsid sh -c "echo \\$\\$ >daemon; exec sleep 100" & while [ ! -e ${gate} ]; do sleep 0.02; done`;
    const request = aRequest(root, script);
    await first.start(request);
    const daemon = await until('the daemon runs', () => pidIn(join(request.home, 'daemon')));
    await first.close();
    writeFileSync(gate, '');
    const second = await anExecutor(root, tracking);
    expect(await (await second.adopt(request.home))?.ended).toMatchObject({ kind: 'exited', exitCode: 0 });
    expect(await second.processes(request.home)).toEqual([daemon]);
    await second.kill(request.home, 0);
    expect(isAlive(daemon)).toBe(false);
    const identity = readIdentity(request.home);
    await until('the old supervisor is gone', () => identity && !isAlive(identity.pid));
  });

  test('gives a job that asks for it time to end well, and one that does not SIGKILL', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root, tracking);
    const polite = aRequest(root, 'trap "echo bye; exit 3" TERM; echo >ready; while :; do sleep 0.01; done');
    const rude = aRequest(root, 'trap "" TERM; echo >ready; while :; do sleep 0.01; done');
    const ends = [(await executor.start(polite)).ended, (await executor.start(rude)).ended];
    for (const { home } of [polite, rude]) await until('it is ready', () => existsSync(join(home, 'ready')));
    await Promise.all([executor.kill(polite.home, 10_000), executor.kill(rude.home, 50)]);
    expect(await Promise.all(ends)).toMatchObject([
      { kind: 'exited', exitCode: 3 },
      { kind: 'signalled', signal: 9 },
    ]);
    expect(logOf(polite)).toContain('bye');
  });

  test('kills also what its supervisor has not started yet', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root, tracking);
    const request = aRequest(root, 'exec sleep 100');
    const log = join(request.home, 'log');
    execFileSync('mkfifo', [log]); // its supervisor waits for a reader, just before it starts the job
    const started = executor.start(request);
    await until('its supervisor has it', () => readIdentity(request.home));
    const killed = executor.kill(request.home, 0);
    const reader = openSync(log, constants.O_RDONLY | constants.O_NONBLOCK);
    onTestFinished(() => closeSync(reader));
    await killed;
    expect(await (await started).ended).toMatchObject({ kind: 'signalled', signal: 9 });
  });

  test('kills what is stopped', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root, tracking);
    const request = aRequest(root, 'echo $$ >pid; kill -STOP $$');
    const running = await executor.start(request);
    const pid = await until('the job writes its pid', () => pidIn(join(request.home, 'pid')));
    await until('the job stops', () => readProcess(pid)?.state === 'T');
    await executor.kill(request.home, 5000);
    expect(await running.ended).toMatchObject({ kind: 'signalled', signal: 15 });
  });

  when(tracking.startsWith('cgroup'))('kills what is frozen', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root, tracking);
    const request = aRequest(root, 'trap "" TERM; echo >ready; while :; do sleep 0.01; done');
    const running = await executor.start(request);
    await until('it is ready', () => existsSync(join(request.home, 'ready')));
    setFrozen(readIdentity(request.home)?.group ?? '', true);
    await executor.kill(request.home, 0);
    expect(await running.ended).toMatchObject({ kind: 'signalled', signal: 9 });
  });

  test('ends a tree that grows as fast as it can', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root, tracking);
    const grow = 'trap "" TERM; echo >ready; while :; do sleep 0.3 & done';
    const request = aRequest(root, `sh -c '${grow}' & sh -c '${grow}' & wait`);
    const running = await executor.start(request);
    await until('it has grown', () => existsSync(join(request.home, 'ready')));
    await executor.kill(request.home, 0);
    expect(await executor.processes(request.home)).toEqual([]);
    expect(await running.ended).toMatchObject({ kind: 'signalled' });
  });

  test('leaves no folder and no group behind when it is closed', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root, tracking);
    await Promise.all([1, 2, 3].map(async () => (await executor.start(aRequest(root, 'true'))).ended));
    await executor.close();
    expect(readdirSync(join(root, 'supervisors'))).toEqual([]);
    const groups = groupsFolder(tracking, join(root, 'supervisors')) ?? '';
    expect(groups === '' ? [] : readdirSync(groups, { withFileTypes: true }).filter((e) => e.isDirectory())).toEqual(
      [],
    );
  });
});
