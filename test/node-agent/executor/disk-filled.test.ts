import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { anExecutor, aRequest } from '../../kit/an-executor.ts';
import { itWith } from '../../kit/real-parts.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { mountSmallDisk } from '../../kit/small-disk.ts';
import { until } from '../../kit/until.ts';

itWith('small disk')('a full disk hides from nobody how a job has ended, also not from the next agent', async () => {
  const elsewhere = scratchFolder();
  const root = aDisk(2 ** 20);
  const executor = await anExecutor(root);
  const [begun, go] = [join(elsewhere, 'begun'), join(elsewhere, 'go')];
  const script = `touch ${begun}; until [ -e ${go} ]; do sleep 0.05; done; cat /dev/zero >fill; exit 7`;
  const request = aRequest(root, script);
  await executor.start(request);
  await until('the job has begun', () => existsSync(begun));
  await executor.close();
  writeFileSync(go, '');
  const next = await anExecutor(root);
  expect(await (await next.adopt(request.home))?.ended).toMatchObject({ kind: 'exited', exitCode: 7 });
});

itWith('small disk')(
  'a full disk is why a job does not start, also when its identity was the last file that had room',
  async () => {
    const executor = await anExecutor(scratchFolder());
    const home = aDisk(2 ** 16, 2);
    const request = aRequest(scratchFolder(), 'true', { home, cwd: '/' });
    await expect(executor.start(request)).rejects.toMatchObject({ code: 'disk-full' });
  },
);

function aDisk(sizeBytes: number, inodes?: number): string {
  const disk = mountSmallDisk(join(scratchFolder(), 'disk'), sizeBytes, inodes === undefined ? {} : { inodes });
  onTestFinished(() => disk.remove());
  return disk.folder;
}
