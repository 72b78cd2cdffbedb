import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect, it } from 'vitest';
import { inTmux } from '../kit/a-tmux.ts';
import { ownLab } from '../kit/lab.ts';
import { capture } from '../kit/processes.ts';
import { program } from '../kit/program.ts';
import { itWith } from '../kit/real-parts.ts';
import { until } from '../kit/until.ts';

it('shows what holds though nobody has written it, and names what is wrong in a file by its name', async () => {
  const lab = await ownLab({ agents: { n1: { settings: { desk: { policy: { onActivity: 'pause' } } } } } });
  const policy = (...args: string[]) => lab.labrun('desk', 'policy', ...args, '--data', lab.agentFolder('n1'));
  const shown = lab.must(await policy());
  expect(shown.stderr).toContain('Nobody has set a policy here');
  expect(shown.stdout).toMatch(/^onActivity: pause\nthrottleTo: half\n[\s\S]*newWork: 15m/);
  const file = lab.path('mine.yaml');
  expect(await policy('set', file)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('there is no such file'),
  });
  writeFileSync(file, 'onActivity: pause\nidle: {resum: 5m}\n');
  expect(await policy('set', file)).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/mine\.yaml:2:8: idle\.resum/),
  });
  writeFileSync(file, shown.stdout);
  lab.must(await policy('set', file));
  expect(lab.must(await policy('show')).stdout).toBe(shown.stdout);
  expect(await policy('stow')).toMatchObject({ code: 2, stderr: expect.stringContaining('"set FILE"') });
}, 60_000);

it('opens the policy in an editor until it is right, and not at all for who may not change it', async () => {
  const lab = await ownLab({ agents: { n1: {} } });
  const editor = lab.path('editor');
  const edit = (env: Readonly<Record<string, string>> = {}) =>
    capture([process.execPath, program, 'desk', 'policy', 'edit', '--data', lab.agentFolder('n1')], {
      env: { ...lab.env, EDITOR: `sh ${editor}`, ...env },
      cwd: lab.folder,
    });
  // At first it writes what is wrong; then it keeps what it was told, and puts it right.
  const seen = lab.path('seen');
  writeFileSync(
    editor,
    `if [ -e ${lab.path('once')} ]; then cp "$1" ${seen}; sed -i s/stop/nothing/ "$1"
else touch ${lab.path('once')}; echo 'onActivity: stop' >> "$1"; fi\n`,
  );
  expect(await edit()).toMatchObject({ code: 0, stdout: 'the new policy holds\n' });
  const [told = '', ...rest] = readFileSync(seen, 'utf8').split('\n');
  const [, line] = /^#! policy:(\d+):13: onActivity: expected one of/.exec(told) ?? [];
  // Where it says, in the very file that is open.
  expect([told, ...rest][Number(line) - 1]).toBe('onActivity: stop');
  const kept = await lab.ok('desk', 'policy', '--data', lab.agentFolder('n1'));
  expect(kept).toMatch(/onActivity: nothing\n$/);
  expect(kept).not.toContain('#!');

  writeFileSync(editor, 'exit 0\n');
  expect(await edit()).toMatchObject({ code: 0, stderr: expect.stringContaining('Nothing was changed') });
  writeFileSync(editor, `touch ${lab.path('opened')}; exit 3\n`);
  expect(await edit()).toMatchObject({ code: 1, stderr: expect.stringContaining('set EDITOR to yours') });
  expect(existsSync(lab.path('opened'))).toBe(true);
}, 60_000);

it('is refused before anybody has written anything where the admin has fixed it', async () => {
  const lab = await ownLab({ agents: { n1: { settings: { desk: { policyIsFixed: true } } } } });
  const opened = lab.path('opened');
  const edited = await capture([process.execPath, program, 'desk', 'policy', 'edit', '--data', lab.agentFolder('n1')], {
    env: { ...lab.env, EDITOR: `touch ${opened}; false` },
    cwd: lab.folder,
  });
  expect(edited).toMatchObject({ code: 4, stderr: expect.stringContaining('its admin has fixed it') });
  expect(existsSync(opened)).toBe(false);
}, 60_000);

itWith('tmux')(
  'leaves Ctrl-C to the editor, and what was written where it is when the agent is away by then',
  async () => {
    const lab = await ownLab({ agents: { n1: {} } });
    const [editor, opened, go] = [lab.path('editor'), lab.path('opened'), lab.path('go')];
    const waits = `touch ${opened}; while [ ! -e ${go} ]; do sleep 0.05; done`;
    writeFileSync(editor, `trap 'echo not me' INT; ${waits}; echo 'onActivity: pause' >> "$1"\n`);
    const env = { ...lab.env, EDITOR: `sh ${editor}` };
    const edit = () =>
      inTmux([process.execPath, program, 'desk', 'policy', 'edit', '--data', lab.agentFolder('n1')], {
        env,
        cwd: lab.folder,
        size: { columns: 200, rows: 30 },
      });
    const first = await edit();
    await until('the editor is open', () => existsSync(opened));
    await first.type('C-c');
    await first.shows(/not me/);
    writeFileSync(go, '');
    await first.shows(/the new policy holds\s+\[ended with 0\]/);

    writeFileSync(editor, `kill -9 ${lab.agents.get('n1')?.pid}; echo 'throttleTo: 1' >> "$1"\n`);
    const second = await edit();
    const said = await second.shows(/\[ended with 4\]/);
    const kept = /What you wrote is in (\S+);/.exec(said)?.[1] ?? '';
    expect(readFileSync(kept, 'utf8')).toMatch(/throttleTo: 1\n$/);
    rmSync(dirname(kept), { recursive: true });
  },
  60_000,
);
