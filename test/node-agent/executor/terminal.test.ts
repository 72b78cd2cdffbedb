import { expect } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { openTerminal } from '../../../node-agent/executor/terminal.ts';
import { itWith } from '../../kit/real-parts.ts';

const request = (...argv: string[]) => ({
  ...{ argv, cwd: '/', env: { PATH: '/usr/bin:/bin' }, size: { columns: 80, rows: 24 } },
  ...{ term: 'xterm', owner: undefined },
});

itWith('node-pty')('tells all that a program says, and then its end, however slowly it is read', async () => {
  for (const waitMs of [0, 3]) {
    let said = '';
    const terminal = await openTerminal(request('seq', '20000'), systemClock, (data) => {
      said += data.toString();
      if (waitMs === 0) return;
      terminal.pause();
      systemClock.setTimer(waitMs, () => terminal.resume());
    });
    expect(await terminal.ended).toBe(0);
    expect(said.length).toBe(128_894);
    expect(said.endsWith('\r\n20000\r\n')).toBe(true);
  }
});

itWith('node-pty')('tells what is left of a program that has ended, also where nobody reads on', async () => {
  let said = '';
  const terminal = await openTerminal(request('sh', '-c', 'seq 500; exit 7'), systemClock, (data) => {
    said += data.toString();
  });
  terminal.pause();
  expect(await terminal.ended).toBe(7);
  expect(said.endsWith('\r\n499\r\n500\r\n')).toBe(true);
});
