import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { Running } from '../kit/processes.ts';
import { program } from '../kit/program.ts';
import { itWith } from '../kit/real-parts.ts';
import { scratchFolder } from '../kit/scratch-folder.ts';
import { until } from '../kit/until.ts';

const hidden = '\u001b[?25l';
const again = '\u001b[?25h';
const wraps = '\u001b[?7h';

itWith('script')(
  'Ctrl-C in the middle of a bar leaves a terminal that shows its cursor and wraps its lines',
  async () => {
    const folder = scratchFolder();
    const [seen, big] = [join(folder, 'seen'), join(folder, 'big')];
    writeFileSync(big, '');
    truncateSync(big, 256 * 2 ** 30); // takes no room, and longer to read than anybody waits
    const jobs = [{ name: 'j', files: ['big'], run: 'true' }];
    writeFileSync(join(folder, 'labrun.yaml'), JSON.stringify({ name: 'big', jobs }));
    const command = `exec ${process.execPath} ${program} validate`;
    const env = { PATH: process.env['PATH'] ?? '', HOME: folder, TERM: 'xterm', SHELL: '/bin/sh' };
    const window = new Running(['script', '-qfec', command, seen], { cwd: folder, env, typed: true });
    onTestFinished(async () => void (await window.end('SIGKILL')));
    const shown = () => readFileSync(seen, 'utf8');
    await until('there is a bar', () => shown().includes(hidden));
    window.write('\u0003');
    expect(await window.exited).toEqual({ code: 130, signal: null });
    const left = shown().slice(shown().lastIndexOf(hidden));
    expect(left).toContain(again);
    expect(left).toContain(wraps);
  },
);
