import { expect } from 'vitest';
import { inTmux } from '../kit/a-tmux.ts';
import { countingLab } from '../kit/counting-lab.ts';
import { program } from '../kit/program.ts';
import { itWith } from '../kit/real-parts.ts';

itWith('tmux')(
  'a small window shows the desk live, a key pauses and resumes it, and an agent that restarts is waited for',
  async () => {
    const counting = await countingLab();
    const { lab } = counting;
    const command = [process.execPath, program, 'desk', '--data', lab.agentFolder('n1')];
    const size = { columns: 60, rows: 14 };
    const window = await inTmux(command, { env: lab.env, cwd: lab.folder, size });
    await window.shows(/^n1 +at work/m);
    // No word of what keys do is cut in two, nor scrolled away.
    await window.shows(/^p pause 30 min {3}t until tomorrow {3}l until I leave\n {2}r go on {3}q quit$/m);
    await window.shows(/^t\/counts\/j +\S+ +running/m);
    await window.type('p');
    await window.shows(/^n1 +paused by \S+ until \d\d:\d\d/m);
    await counting.standsStill();
    await lab.agents.get('n1')?.end('SIGKILL');
    await window.shows(/^Cannot reach the agent/m);
    await lab.launchAgent('n1').line(/connected to/);
    await window.shows(/^(?![\s\S]*Cannot)n1 +paused by \S+ until \d\d:\d\d/);
    await window.shows(/^t\/counts\/j +\S+ +paused/m);
    await window.type('t');
    await window.shows(/^No pause is longer than 4h here/m);
    await window.type('r');
    await counting.countsOn();
    await window.resize({ columns: 30, rows: 6 });
    await window.shows(/q quit/);
    await window.type('q');
    await window.shows(/\[ended with 0\]/);
    await counting.end();
  },
  60_000,
);

itWith('tmux')(
  'a terminal where nothing can be painted is told once how things stand, and words that mean nothing what there is',
  async () => {
    const counting = await countingLab();
    const { lab } = counting;
    const command = [process.execPath, program, 'desk', '--data', lab.agentFolder('n1')];
    const dumb = await inTmux(['env', 'TERM=dumb', ...command], { env: lab.env, cwd: lab.folder });
    await dumb.shows(/^n1 +at work[\s\S]*\[ended with 0\]/m);
    const unknown = await lab.labrun('desk', 'stauts');
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('"status"') });
    const hasty = await lab.labrun('pause', '30m');
    expect(hasty).toMatchObject({ code: 2, stderr: expect.stringContaining('--for 30m') });
    await counting.end();
  },
  60_000,
);
