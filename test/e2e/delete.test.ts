import { existsSync, readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { inTmux } from '../kit/a-tmux.ts';
import { sharedLab } from '../kit/lab.ts';
import { program } from '../kit/program.ts';
import { itWith } from '../kit/real-parts.ts';

const lab = sharedLab();

it('deletes the results of a batch when told twice, and every command says who did it', async () => {
  const jobs = [{ name: 'j', needs: { cpus: 1 }, run: 'echo said; echo 1 > $LABRUN_ARCHIVE/result' }];
  const file = lab().jobFile('gone', { name: 'gone', namespace: 'tester', jobs });
  await lab().ok('submit', file, '--wait');
  const folder = `${lab().archive}/tester/gone`;
  expect(existsSync(`${folder}/j/result`)).toBe(true);

  const unsure = await lab().labrun('delete', 'tester/gone');
  expect(unsure).toMatchObject({ code: 2, stderr: expect.stringContaining('without asking: add --yes') });
  expect(existsSync(`${folder}/j/result`)).toBe(true);

  expect(await lab().ok('delete', 'tester/gone', '--yes')).toContain('Deleted the results of tester/gone');
  expect(readdirSync(folder)).toEqual(['.labrun']);
  for (const command of [['pull'], ['results'], ['logs']]) {
    const said = await lab().labrun(...command, command[0] === 'logs' ? 'tester/gone/j' : 'tester/gone');
    expect(said.stderr, command[0]).toMatch(/"\w+" deleted it on (20[\d-]+ )?\d\d:\d\d\n/); // as the clock here says
    expect(said.code, command[0]).toBe(3);
  }
  expect(await lab().json('status', 'tester/gone')).toMatchObject({
    deletedBy: expect.stringMatching(/./),
    deletedAt: expect.stringMatching(/^20.*Z$/),
    counts: { succeeded: 1 },
  });
  expect(await lab().ok('delete', 'tester/gone', '--yes')).toContain('deleted already');
});

it('leaves a batch that runs alone', async () => {
  const file = lab().jobFile('runs', { name: 'runs', namespace: 'tester', jobs: [{ name: 'j', run: 'sleep 60' }] });
  await lab().ok('submit', file);
  const refused = await lab().labrun('delete', 'tester/runs', '--yes');
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain('first "labrun cancel tester/runs"');
  await lab().ok('cancel', 'tester/runs');
  await lab().labrun('wait', 'tester/runs');
  expect(await lab().json('delete', 'tester/runs', '--yes')).toMatchObject({ name: 'runs', deleted: true });
});

itWith('tmux')(
  'asks who sits there, and takes Ctrl-C and Ctrl-D for no',
  async () => {
    const file = lab().jobFile('asked', { name: 'asked', namespace: 'tester', jobs: [{ name: 'j', run: 'true' }] });
    await lab().ok('submit', file, '--wait');
    for (const [key, status] of [
      ['C-c', 130],
      ['C-d', 2],
      ['Enter', 2],
    ] as const) {
      const command = [process.execPath, program, 'delete', 'tester/asked'];
      const window = await inTmux(command, { env: lab().env, cwd: lab().folder });
      await window.shows(/for good\? \[y\/N\]/);
      await window.type(key);
      await window.shows(new RegExp(`\\[ended with ${status}\\]`));
    }
    expect(await lab().json('status', 'tester/asked')).toMatchObject({ deletedAt: null });
  },
  60_000,
);
