import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readEnd, readIdentity } from '../../../node-agent/executor/identity.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

const words = ['boot', 12, 34, '5.00', 'session', '', '/supervisor', 'id', '.', ''].join('\n');

it('believes only files of what a supervisor wrote, and waits for nothing else in their place', () => {
  const home = scratchFolder();
  const at = (name: string) => join(home, name);
  writeFileSync(at('identity'), words);
  writeFileSync(at('exit'), '3 7.50 .\n');
  const identity = readIdentity(home);
  expect(identity).toMatchObject({ bootId: 'boot', pid: 12, startTicks: 34, tracking: 'session', id: 'id' });
  if (identity === undefined) throw new Error('it was written');
  expect(readEnd(home, identity)).toEqual({ kind: 'exited', exitCode: 3, ranMs: 2_500 });
  for (const name of ['identity', 'exit']) {
    const instead: Record<string, () => void> = {
      fifo: () => execFileSync('mkfifo', [at(name)]),
      link: () => symlinkSync(at('true-words'), at(name)),
      endless: () => execFileSync('truncate', ['-s', '1T', at(name)]),
      folder: () => mkdirSync(at(name)),
    };
    writeFileSync(at('true-words'), name === 'exit' ? '0 7.50 .\n' : words);
    for (const [what, put] of Object.entries(instead)) {
      rmSync(at(name), { recursive: true, force: true });
      put();
      if (name === 'identity') expect(readIdentity(home), what).toBeUndefined();
      else expect(readEnd(home, identity), what).toMatchObject({ kind: 'lost' });
    }
    rmSync(at(name), { recursive: true });
  }
}, 20_000);
