import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isAlive, readProcess } from '../../../node-agent/executor/process-table.ts';
import { anExecutor, aRequest, logOf, pidIn } from '../../kit/an-executor.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { until } from '../../kit/until.ts';

describe('starting a process', () => {
  it('gives it its directory, exactly its environment, and its output a log', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root);
    const env = { PATH: '/usr/bin:/bin', QUOTED: `it's "so" $HOME \\ \n two lines`, 'not.a.name': 'kept', UID: '77' };
    const request = aRequest(root, '', { env, argv: ['env', '-0'] });
    const running = await executor.start(request);
    expect(await running.ended).toMatchObject({ kind: 'exited', exitCode: 0 });
    const found = Object.fromEntries(
      logOf(request)
        .split('\0')
        .filter(Boolean)
        .map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
    );
    expect(found).toEqual({ ...env, LABRUN_ID: request.id, PWD: request.cwd });
  });

  it('passes arguments as they are', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root);
    const awkward = ['', "don't", '$(id) `id` *', 'two\nlines', '-n', 'naïve ☃'];
    const request = aRequest(root, '', { argv: ['/usr/bin/printf', '<%s>', ...awkward] });
    await (await executor.start(request)).ended;
    expect(logOf(request)).toBe(awkward.map((text) => `<${text}>`).join(''));
  });

  it('gives it no file of the agent or of its supervisor', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root);
    const request = aRequest(root, 'ls -l /proc/$$/fd');
    await (await executor.start(request)).ended;
    const files = [...logOf(request).matchAll(/ (\d+) -> (.*)/g)].map(([, fd, target]) => `${fd} ${target}`);
    expect(files.slice(0, 3)).toEqual(['0 /dev/null', `1 ${request.home}/log`, `2 ${request.home}/log`]);
    expect(files.filter((file) => file.includes(root))).toHaveLength(2);
  });

  it('tells exit codes, signals, and programs that are not there', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root);
    const end = async (script: string) => (await executor.start(aRequest(root, script))).ended;
    expect(await end('exit 3')).toMatchObject({ kind: 'exited', exitCode: 3 });
    expect(await end('kill -SEGV $$')).toMatchObject({ kind: 'signalled', signal: 11 });
    const missing = aRequest(root, '', { argv: ['no-such-program'] });
    expect(await (await executor.start(missing)).ended).toMatchObject({ kind: 'exited', exitCode: 127 });
    expect(logOf(missing)).toContain('no-such-program');
    const nowhere = aRequest(root, 'true', { cwd: join(root, 'nowhere') });
    expect(await (await executor.start(nowhere)).ended).not.toMatchObject({ exitCode: 0 });
  });

  it('measures how long it ran', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root);
    const end = await (await executor.start(aRequest(root, 'sleep 0.3'))).ended;
    expect(end).toMatchObject({ kind: 'exited' });
    // The supervisor reads /proc/uptime, which counts in hundredths of a second.
    if (end.kind === 'exited') expect(end.ranMs).toBeGreaterThanOrEqual(290);
  });

  it('starts a home at most once, also for a later agent', async () => {
    const root = scratchFolder();
    const first = await anExecutor(root);
    const request = aRequest(root, 'echo started >>witness; sleep 0.2');
    const running = await first.start(request);
    await expect(first.start(request)).rejects.toMatchObject({ code: 'already-started' });
    await running.ended;
    await expect(first.start(request)).rejects.toMatchObject({ code: 'already-started' });
    await first.close();
    const second = await anExecutor(root);
    await expect(second.start(request)).rejects.toMatchObject({ code: 'already-started' });
    expect(readFileSync(join(request.home, 'witness'), 'utf8')).toBe('started\n');
  });

  it('says why when it cannot start, and can start others after', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root);
    const homeless = { ...aRequest(root, 'true'), home: join(root, 'not-made') };
    await expect(executor.start(homeless)).rejects.toMatchObject({
      code: 'start-failed',
      message: expect.stringContaining('not-made'),
    });
    await expect(executor.start(aRequest(root, 'a\0b'))).rejects.toMatchObject({ code: 'invalid-request' });
    expect(await (await executor.start(aRequest(root, 'exit 4'))).ended).toMatchObject({ exitCode: 4 });
  });

  it.skipIf(process.getuid?.() !== 0)('says that the disk is full', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root);
    const request = aRequest(root, 'true', { id: 'full' });
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4k,nr_inodes=2', 'none', request.home]);
    expect(String(mounted.stderr)).toBe('');
    try {
      writeFileSync(join(request.home, 'filler'), 'x'.repeat(4096));
      await expect(executor.start({ ...request, cwd: '/' })).rejects.toMatchObject({ code: 'disk-full' });
    } finally {
      spawnSync('umount', [request.home]);
    }
  });

  it('runs many at a time and uses a supervisor again', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root);
    const ends = await Promise.all(
      Array.from({ length: 60 }, async (_, at) => (await executor.start(aRequest(root, `exit ${at % 5}`))).ended),
    );
    expect(ends.map((end) => end.kind === 'exited' && end.exitCode)).toEqual(ends.map((_, at) => at % 5));
    const one = aRequest(root, 'echo $PPID');
    const two = aRequest(root, 'echo $PPID');
    await (await executor.start(one)).ended;
    await (await executor.start(two)).ended;
    expect(logOf(two)).toBe(logOf(one));
  });
});

describe('a supervisor', () => {
  it('survives a job that signals its whole process group', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root);
    const end = await (await executor.start(aRequest(root, 'kill -TERM 0; sleep 5'))).ended;
    expect(end).toMatchObject({ kind: 'signalled', signal: 15 });
    expect(await (await executor.start(aRequest(root, 'exit 6'))).ended).toMatchObject({ exitCode: 6 });
  });

  it('does not take a stopped job for an ended one', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root);
    const request = aRequest(root, 'echo $$ >pid; kill -STOP $$; exit 9');
    const running = await executor.start(request);
    const pid = await until('the job writes its pid', () => pidIn(join(request.home, 'pid')));
    await until('the job stops', () => readProcess(pid)?.state === 'T');
    expect(existsSync(join(request.home, 'exit'))).toBe(false);
    process.kill(pid, 'SIGCONT');
    expect(await running.ended).toMatchObject({ kind: 'exited', exitCode: 9 });
  });

  it('that is killed loses its job, whose rest is still found, and another takes its place', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root);
    const request = aRequest(root, 'echo $PPID >parent; echo $$ >pid; exec sleep 100');
    const running = await executor.start(request);
    const parent = await until('the job knows its supervisor', () => pidIn(join(request.home, 'parent')));
    const pid = await until('the job writes its pid', () => pidIn(join(request.home, 'pid')));
    process.kill(parent, 'SIGKILL');
    expect(await running.ended).toMatchObject({ kind: 'lost' });
    expect(await executor.processes(request.home)).toEqual([pid]);
    await executor.kill(request.home, 0);
    expect(isAlive(pid)).toBe(false);
    expect(await (await executor.start(aRequest(root, 'exit 2'))).ended).toMatchObject({ exitCode: 2 });
  });
});

describe('adopting', () => {
  it('finds a job that runs and one that ended without an agent', async () => {
    const root = scratchFolder();
    const first = await anExecutor(root);
    const gate = join(root, 'gate');
    const early = aRequest(root, 'exit 5');
    const late = aRequest(root, `while [ ! -e ${gate} ]; do sleep 0.05; done; exit 7`);
    const { startedAtMs } = await first.start(late);
    const earlyEnd = (await first.start(early)).ended;
    await earlyEnd;
    await first.close();
    const second = await anExecutor(root);
    const adopted = await second.adopt(late.home);
    expect(Math.abs((adopted?.startedAtMs ?? 0) - startedAtMs)).toBeLessThan(1000);
    expect(await (await second.adopt(early.home))?.ended).toMatchObject({ kind: 'exited', exitCode: 5 });
    writeFileSync(gate, '');
    expect(await adopted?.ended).toMatchObject({ kind: 'exited', exitCode: 7 });
    expect(await second.adopt(aRequest(root, '').home)).toBeUndefined();
  });

  it('learns at once that the supervisor of an adopted job was killed', async () => {
    const root = scratchFolder();
    const first = await anExecutor(root);
    const request = aRequest(root, 'echo $PPID >parent; exec sleep 100');
    await first.start(request);
    const parent = await until('the job knows its supervisor', () => pidIn(join(request.home, 'parent')));
    await first.close();
    const second = await anExecutor(root);
    const adopted = await second.adopt(request.home);
    process.kill(parent, 'SIGKILL');
    expect(await adopted?.ended).toMatchObject({ kind: 'lost' });
    await second.kill(request.home, 0);
    expect(await second.processes(request.home)).toEqual([]);
  });

  it('knows that the supervisor was killed before it came', async () => {
    const root = scratchFolder();
    const first = await anExecutor(root);
    const request = aRequest(root, 'echo $PPID >parent; exec sleep 100');
    await first.start(request);
    const parent = await until('the job knows its supervisor', () => pidIn(join(request.home, 'parent')));
    await first.close();
    process.kill(parent, 'SIGKILL');
    await until('it is dead', () => !isAlive(parent));
    const second = await anExecutor(root);
    expect(await (await second.adopt(request.home))?.ended).toMatchObject({ kind: 'lost' });
    expect(await second.processes(request.home)).toHaveLength(1);
    await second.kill(request.home, 0);
    expect(await second.processes(request.home)).toEqual([]);
  });

  it('knows that a job of an earlier boot is lost', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root);
    const request = aRequest(root, 'exit 0');
    await (await executor.start(request)).ended;
    const file = join(request.home, 'identity');
    writeFileSync(file, readFileSync(file, 'utf8').replace(/^\S+/, '00000000-0000-4000-8000-000000000000'));
    expect(await (await executor.adopt(request.home))?.ended).toMatchObject({ kind: 'lost' });
  });

  it('kills what an earlier agent started in a home that it failed to start itself', async () => {
    const root = scratchFolder();
    const first = await anExecutor(root);
    const request = aRequest(root, 'echo $$ >pid; exec sleep 100');
    await first.start(request);
    const pid = await until('the job writes its pid', () => pidIn(join(request.home, 'pid')));
    await first.close();
    const second = await anExecutor(root);
    await expect(second.start(request)).rejects.toMatchObject({ code: 'already-started' });
    await second.kill(request.home, 0);
    expect(isAlive(pid)).toBe(false);
  });

  it('kills in a home that was used before and made anew', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root);
    const request = aRequest(root, 'true', { id: 'again' });
    await (await executor.start(request)).ended;
    rmSync(request.home, { recursive: true });
    const again = aRequest(root, 'echo $$ >pid; exec sleep 100', { id: 'again' });
    const running = await executor.start(again);
    await until('the job writes its pid', () => pidIn(join(again.home, 'pid')));
    await executor.kill(again.home, 5000);
    expect(await running.ended).toMatchObject({ kind: 'signalled', signal: 15 });
  });

  it('does not kill the next tree of a supervisor in the name of the one before', async () => {
    const root = scratchFolder();
    const first = await anExecutor(root);
    const before = aRequest(root, 'true');
    await (await first.start(before)).ended;
    const after = aRequest(root, 'echo $$ >pid; exec sleep 100');
    await first.start(after);
    const pid = await until('the job writes its pid', () => pidIn(join(after.home, 'pid')));
    await first.kill(before.home, 0);
    expect(isAlive(pid)).toBe(true);
    await first.close();
    const second = await anExecutor(root);
    await second.kill(before.home, 0);
    expect(isAlive(pid)).toBe(true);
    await second.kill(after.home, 0);
    expect(isAlive(pid)).toBe(false);
  });
});
