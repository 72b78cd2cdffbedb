import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { deferred } from '../../../base/deferred.ts';
import { holdSleep } from '../../../node-agent/desk/sleep-hold.ts';
import { useUpDescriptors } from '../../kit/no-descriptors.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

it('sleep is held, and let go, by an agent that has no descriptor left', async () => {
  const folder = scratchFolder();
  // What logind's program does when it is given an inhibitor.
  writeFileSync(join(folder, 'systemd-inhibit'), '#!/bin/sh\nexec cat\n');
  chmodSync(join(folder, 'systemd-inhibit'), 0o755);
  const held = deferred<void>();
  const lost: string[] = [];
  useUpDescriptors();
  const hold = holdSleep({
    ...{ mode: 'block', why: 'a job runs here', path: `${folder}:/usr/bin:/bin` },
    held: () => held.resolve(),
    lost: (why) => void lost.push(why),
  });
  await held.promise;
  await hold.release();
  expect(lost).toEqual([]);
});
