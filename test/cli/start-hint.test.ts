import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startHint } from '../../cli/start-hint.ts';
import { scratchFolder } from '../kit/scratch-folder.ts';

it('names the unit of a service that is installed with that data, else the command', async () => {
  const folder = scratchFolder();
  expect(await startHint('agent', 'here', folder)).toBe('labrun agent start --data here');
  const units = join(folder, 'etc/systemd/system');
  mkdirSync(units, { recursive: true });
  writeFileSync(join(units, 'labrun-agent.service'), 'ExecStart=/usr/bin/node agent start --data /var/lib/a\nUser=x\n');
  expect(await startHint('agent', '/var/lib/a/', folder)).toBe('systemctl start labrun-agent.service');
  expect(await startHint('agent', '/var/lib/b', folder)).toBe('labrun agent start --data /var/lib/b');
  expect(await startHint('head', '/var/lib/a', folder)).toBe('labrun head start --data /var/lib/a');
});
