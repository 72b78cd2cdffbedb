import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { aBatchSpec, aJobOrder } from '../../kit/a-job-order.ts';
import { aWorkspace } from '../../kit/a-workspace.ts';
import { itWith } from '../../kit/real-parts.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { until } from '../../kit/until.ts';

const script = (text: string) => ({ kind: 'command' as const, run: { kind: 'script' as const, text } });

itWith('bubblewrap')('an isolated job sees neither homes, nor other attempts, nor the files of its agent', async () => {
  const root = scratchFolder();
  const kit = await aWorkspace(root);
  mkdirSync(join(root, 'attempts', 'another', 'work'), { recursive: true });
  writeFileSync(join(root, 'attempts', 'another', 'work', 'secret'), 'secret');
  writeFileSync(join(root, 'key.pem'), 'secret');
  const text = `
    for path in /root /home ${root}/key.pem ${root}/attempts/another ${root}/blobs ${root}/supervisors /run/dbus; do
      [ ! -e $path ] || echo sees $path
    done
    (cat /etc/shadow 2>/dev/null || true) | wc -l
    ls -a ${root} ${root}/attempts | grep -v '^[/.]' | grep -v '^$'
    ps -e | tail -n +2 | wc -l`;
  const order = aJobOrder(aBatchSpec({ runtime: script(text), isolation: 'strict' }));
  const { end } = await kit.run(order);
  const log = readFileSync(join(kit.workspace.homeOf(order.id), 'log'), 'utf8');
  expect(end, log).toMatchObject({ kind: 'exited', exitCode: 0 });
  expect(log).not.toContain('sees');
  const [shadowLines, ...seen] = log.trim().split('\n');
  expect(Number(shadowLines)).toBe(0);
  const processes = seen.pop();
  expect(seen).toEqual(['attempts', order.id]);
  expect(Number(processes)).toBeLessThan(10);
});

itWith('bubblewrap')(
  'an isolated job has all it is promised: its folders, its build, its words and its own /tmp',
  async () => {
    const kit = await aWorkspace(scratchFolder());
    const text = `
    cat product.txt $LABRUN_BUILD/product.txt
    echo kept > $LABRUN_ARCHIVE/result; echo mine > /tmp/mine; cat $TMPDIR/mine; echo home > ~/file
    echo "$WORD $LABRUN_JOB"; ! touch $LABRUN_BUILD/x 2>/dev/null; ! touch /usr/x 2>/dev/null; ! touch ../exit 2>/dev/null
    python3 -c 'print(6 * 7)'`;
    const needs = { capabilities: [], cpus: 0, ranks: 0, threads: 0, memoryBytes: 0, diskBytes: 0, gpus: 0 };
    const build = { runtime: script('echo product > product.txt; [ ! -e /root ]'), inputs: [], needs, timeLimitMs: 0 };
    const spec = aBatchSpec(
      { runtime: script(text), isolation: 'strict', env: { WORD: `it's "so" $HOME` } },
      { build: { ...build, isolation: 'strict' } },
    );
    const order = aJobOrder(spec);
    const { end, collected } = await kit.run(order);
    const log = readFileSync(join(kit.workspace.homeOf(order.id), 'log'), 'utf8');
    expect(end, log).toMatchObject({ kind: 'exited', exitCode: 0 });
    expect(log).toBe(`product\nproduct\nmine\nit's "so" $HOME ${order.jobName}\n42\n`);
    expect(collected.files.map(({ path }) => path)).toEqual(['result']);
  },
);

itWith('bubblewrap')('what an isolated job declares takes no effect before it is isolated', async () => {
  const root = scratchFolder();
  const kit = await aWorkspace(root);
  const fake = join(root, 'fake');
  mkdirSync(fake);
  writeFileSync(join(fake, 'bwrap'), `#!/bin/sh\ntouch ${root}/escaped\n`, { mode: 0o755 });
  const env = {
    PATH: `${fake}:/usr/bin:/bin`,
    LD_PRELOAD: './evil.so',
    ENV: `${fake}/bwrap`,
    BASH_ENV: `${fake}/bwrap`,
  };
  const order = aJobOrder(
    aBatchSpec({ runtime: script('echo inside; ls -d /root || echo hidden'), isolation: 'strict', env }),
  );
  await kit.run(order);
  const log = readFileSync(join(kit.workspace.homeOf(order.id), 'log'), 'utf8');
  expect(log).toContain('inside');
  expect(log).toContain('hidden');
  expect(() => readFileSync(join(root, 'escaped'))).toThrow('ENOENT');
});

itWith('bubblewrap')('everything an isolated job started is found and killed', async () => {
  const kit = await aWorkspace(scratchFolder());
  const order = aJobOrder(aBatchSpec({ runtime: script('setsid sleep 500 & sleep 500'), isolation: 'strict' }));
  const request = await kit.workspace.prepare(order, undefined, new AbortController().signal);
  const running = await kit.executor.start(request);
  // Two of bubblewrap, the script's bash and two of sleep.
  await until('all its processes run', async () => (await kit.executor.processes(request.home)).length >= 5);
  await kit.executor.kill(request.home, 0);
  expect(await running.ended).toMatchObject({ kind: 'signalled' });
  expect(await kit.executor.processes(request.home)).toEqual([]);
});
