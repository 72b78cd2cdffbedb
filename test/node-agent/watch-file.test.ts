import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../base/clock.ts';
import { openLog } from '../../base/log.ts';
import { watchFile } from '../../node-agent/watch-file.ts';
import { until } from '../kit/until.ts';

describe('a watched file', () => {
  it('is noticed when it is made, written, and replaced by a rename; its neighbours are not', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'labrun-watch-'));
    const file = join(folder, 'agent.yaml');
    let changes = 0;
    const ports = { clock: systemClock, log: openLog('test', 'silent') };
    const watcher = await watchFile(file, ports, () => {
      changes += 1;
    });
    await writeFile(join(folder, 'other'), 'x');
    await writeFile(file, 'a: 1');
    await until('it was made', () => changes === 1);
    await writeFile(file, 'a: 2');
    await until('it was written', () => changes === 2);
    await writeFile(join(folder, 'agent.yaml.new'), 'a: 3');
    await rename(join(folder, 'agent.yaml.new'), file);
    await until('it was replaced', () => changes === 3);
    await watcher.close();
    await rm(folder, { recursive: true });
    expect(changes).toBe(3);
  });
});
