import { createReadStream, readdirSync, statSync } from 'node:fs';
import { expect, it } from 'vitest';
import { sharedLab } from '../kit/lab.ts';
import { memoryKb } from '../kit/proc.ts';

const lab = sharedLab();
const memoryMaxKb = 250 * 1024;

it('archives one file of 3 GiB while head and agent stay small', async () => {
  const file = lab().jobFile('big', {
    name: 'big',
    namespace: 't',
    jobs: [
      {
        name: 'j',
        needs: { cpus: 1 },
        run: '{ yes 0123456789 || true; } | head -c 3221225472 > $LABRUN_ARCHIVE/big.dat',
      },
    ],
  });
  await lab().ok('submit', file);
  await lab().ok('wait', 't/big');
  const kept = `${lab().archive}/t/big/j/big.dat`;
  expect(statSync(kept).size).toBe(3 * 2 ** 30);
  const last = createReadStream(kept, { start: 3 * 2 ** 30 - 22, encoding: 'latin1' });
  let end = '';
  for await (const text of last) end += text;
  expect('0123456789\n'.repeat(4)).toContain(end);
  expectSmall();
}, 120_000);

it('archives five thousand small files while head and agent stay small', async () => {
  const file = lab().jobFile('small', {
    name: 'small',
    namespace: 't',
    jobs: [
      {
        name: 'j',
        needs: { cpus: 1 },
        run: 'mkdir $LABRUN_ARCHIVE/out; for i in $(seq 5000); do echo $i > $LABRUN_ARCHIVE/out/$i; done',
      },
    ],
  });
  await lab().ok('submit', file);
  await lab().ok('wait', 't/small');
  expect(readdirSync(`${lab().archive}/t/small/j/out`)).toHaveLength(5_000);
  expect(statSync(`${lab().archive}/t/small/j/out/4711`).size).toBe(5);
  expectSmall();
}, 60_000);

function expectSmall(): void {
  const agent = lab().agents.get('n1');
  expect(memoryKb(lab().head.pid, 'VmHWM'), 'memory of the head, kB').toBeLessThan(memoryMaxKb);
  expect(memoryKb(agent?.pid ?? 0, 'VmHWM'), 'memory of the agent, kB').toBeLessThan(memoryMaxKb);
}
