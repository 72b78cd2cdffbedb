import { chmodSync, chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished } from 'vitest';
import { makeGroupsFolder, removeGroup } from '../../../node-agent/executor/cgroup.ts';
import { groupsName } from '../../../node-agent/executor/leftovers.ts';
import { aStarted, canTrackBy } from '../../kit/an-executor.ts';
import { buildOtherExecutor, OtherExecutor } from '../../kit/other-executor.ts';
import { itWith, plainUser } from '../../kit/real-parts.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

let program = '';
beforeAll(async () => {
  program = await buildOtherExecutor();
});

describe.skipIf(process.getuid?.() !== 0 || !canTrackBy('cgroup-v2'))(
  'control groups that another account has left',
  () => {
    itWith('plain user')('under the name of ours are left alone, and jobs are found in another way', async () => {
      const user = plainUser();
      if (user === undefined) throw new Error('only root can become somebody else');
      const root = scratchFolder();
      chmodSync(root, 0o755);
      const folder = join(root, 'executor');
      mkdirSync(folder);
      chownSync(folder, user.uid, user.gid);
      const groups = makeGroupsFolder('v2', groupsName(folder)) ?? '';
      onTestFinished(() => void removeGroup(groups));
      mkdirSync(join(groups, 'of-an-earlier-account'));
      const { executor, tracking } = await OtherExecutor.open(
        program,
        { folder, trackings: ['cgroup-v2', 'subreaper', 'session'] },
        user,
      );
      expect(tracking).not.toBe('cgroup-v2');
      const own = {
        start(request: Parameters<typeof executor.start>[0]) {
          chownSync(request.home, user.uid, user.gid);
          return executor.start(request);
        },
      };
      const { home } = await aStarted(own, 'sleep 100', root);
      await executor.kill(home, 0);
      expect(await executor.processes(home)).toEqual([]);
    });
  },
);
