import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readIdentity } from '../../../node-agent/executor/identity.ts';
import { anExecutor, aStarted } from '../../kit/an-executor.ts';
import { countingScript, countsOn } from '../../kit/counting-job.ts';
import { heldBy } from '../../kit/held-by.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

describe('an executor', () => {
  it('reads nothing about a tree that it has started and done nothing to since', async () => {
    const root = scratchFolder();
    const first = await anExecutor(root);
    const { home } = await aStarted(first, 'sleep 100', root);
    const marks = ['stopped', 'throttled'].map((name) => join(readIdentity(home)?.folder ?? '', name));
    // As an agent before it would have left them.
    for (const mark of marks) writeFileSync(mark, 'throttled  0\n');
    await first.thaw(home);
    expect(await first.throttle(home, undefined)).toMatchObject({ cores: 'none', missed: [] });
    expect(marks.filter((mark) => existsSync(mark))).toEqual(marks);
    // Nor does a tree keep its marks that the executor does not know.
    await first.close();
    const second = await anExecutor(root);
    await second.thaw(home);
    await second.throttle(home, undefined);
    expect(marks.filter((mark) => existsSync(mark))).toEqual([]);
  });

  it('lets go what it has stopped or slowed down itself, however often', async () => {
    const root = scratchFolder();
    const executor = await anExecutor(root);
    const { home } = await aStarted(executor, countingScript(), root);
    for (let round = 0; round < 2; round++) {
      await executor.throttle(home, { cores: 0.5 });
      await executor.freeze(home);
      expect((await executor.processes(home)).map(heldBy)).toContain(executor.freezing);
      await executor.thaw(home);
      await countsOn(home);
      expect(await executor.throttle(home, undefined)).toMatchObject({ cores: 'none' });
    }
  });
});
