import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { LimitName } from '../../../node-agent/ports.ts';
import { aLimit, anExecutor, aRequest, logOf } from '../../kit/an-executor.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

/** Allocates and touches so many MB, one after the other. */
const eat = (megabytes: number) => `perl -e 'push @a, "x" x 1048576 for 1..${megabytes}; print "ate it all\\n"'`;

/** Where this user may make control groups that limit memory and processes, the kernel does it. */
const hasControls = ['memory', 'pids'].every((name) => existsSync(`/sys/fs/cgroup/${name}/cgroup.procs`));

describe.runIf(hasControls)('limits of control groups', () => {
  it('end a process that allocates without end, and say why', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root);
    const request = aRequest(root, eat(200), { limits: aLimit({ memoryBytes: 64 * 2 ** 20 }) });
    const end = await (await executor.start(request)).ended;
    expect(end).toMatchObject({ kind: 'signalled', signal: 9, refused: 'memory' });
    expect(logOf(request)).not.toContain('ate it all');
  });

  it('are those of the next tree when a supervisor gets another', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root);
    for (const memoryBytes of [64 * 2 ** 20, 0, 256 * 2 ** 20]) {
      const request = aRequest(root, eat(100), { limits: aLimit({ memoryBytes }) });
      const end = await (await executor.start(request)).ended;
      await executor.kill(request.home, 0);
      if (memoryBytes === 64 * 2 ** 20) expect(end).toMatchObject({ refused: 'memory' });
      else expect(end).toEqual({ kind: 'exited', exitCode: 0, ranMs: expect.any(Number) });
    }
  });

  it('refuse more processes than are allowed, and a tree that fails by it says so', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root);
    const script = 'for i in 1 2 3 4 5 6 7 8 9 10; do sleep 30 & done; echo all';
    const request = aRequest(root, `ulimit -p 100; ${script}`, { limits: aLimit({ processes: 5 }) });
    const end = await (await executor.start(request)).ended;
    await executor.kill(request.home, 0);
    expect(end).toMatchObject({ kind: 'exited', refused: 'processes' });
    expect(logOf(request)).not.toContain('all');
    const next = aRequest(root, script, { limits: aLimit({ processes: 50 }) });
    expect(await (await executor.start(next)).ended).toEqual({
      kind: 'exited',
      exitCode: 0,
      ranMs: expect.any(Number),
    });
    await executor.kill(next.home, 0);
  });

  it('are known of a tree that ended while no agent was there', async () => {
    const root = scratchFolder();
    const first = await anExecutor(root);
    const request = aRequest(root, `sleep 0.3; ${eat(200)}`, { limits: aLimit({ memoryBytes: 64 * 2 ** 20 }) });
    await first.start(request);
    await first.close();
    const second = await anExecutor(root);
    const adopted = await second.adopt(request.home);
    expect(await adopted?.ended).toMatchObject({ kind: 'signalled', refused: 'memory' });
  });
});

describe.each([
  ['with control groups', true],
  ['without control groups', false],
])('a watch of limits %s', (_, controls) => {
  it('tells when a tree wants more processes than it may have', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root, controls ? undefined : 'session', controls);
    // It goes on asking when it was refused, as a fork bomb does, but never for more than these.
    const script = 'trap : EXIT; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do (sleep 30) & done; sleep 30';
    const limits = aLimit({ processes: 10 });
    const request = aRequest(root, '', { argv: ['bash', '-c', `${script} 2>/dev/null`], limits });
    const running = await executor.start(request);
    expect(await told((tell) => executor.watchLimits(request.home, limits, tell))).toBe('processes');
    await executor.kill(request.home, 0);
    await running.ended;
    expect(await executor.processes(request.home)).toEqual([]);
  }, 60_000);

  it('tells when a tree took more memory than it may have', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root, controls ? undefined : 'session', controls);
    // Each process stays below the limit, which no rlimit of a process would end.
    const part = `perl -e 'push @a, "x" x 1048576 for 1..24; sleep 30'`;
    const limits = aLimit({ memoryBytes: 64 * 2 ** 20 });
    const request = aRequest(root, `${part} & ${part} & ${part} & ${part} & wait`, { limits });
    const running = await executor.start(request);
    expect(await told((tell) => executor.watchLimits(request.home, limits, tell))).toBe('memory');
    await executor.kill(request.home, 0);
    await running.ended;
  }, 60_000);
});

describe('limits of a process', () => {
  it('end one that writes a larger file than its tree may', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root);
    const request = aRequest(root, 'dd if=/dev/zero of=big bs=64k', { limits: aLimit({ diskBytes: 2 ** 20 }) });
    expect(await (await executor.start(request)).ended).toMatchObject({ kind: 'signalled', signal: 25 });
  });

  it('let the kernel end a job before its supervisor when memory is short', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root);
    const request = aRequest(root, 'cat /proc/self/oom_score_adj /proc/$PPID/oom_score_adj');
    await (await executor.start(request)).ended;
    const [job = '', supervisor = ''] = logOf(request).split('\n');
    expect(Number(job)).toBeGreaterThan(Number(supervisor));
  });
});

async function told(watch: (tell: (limit: LimitName) => void) => { close(): void }): Promise<LimitName> {
  let closing: { close(): void } | undefined;
  try {
    return await new Promise((resolve) => {
      closing = watch(resolve);
    });
  } finally {
    closing?.close();
  }
}
