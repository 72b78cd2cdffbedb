import { expect, it } from 'vitest';
import { anExecutor } from '../../kit/an-executor.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';

it('an executor is not opened where trees cannot be stopped in the only way that is allowed, and says what that needs', async () => {
  const open = anExecutor(scratchFolder(), 'session', true, ['cgroup-v1']);
  await expect(open).rejects.toMatchObject({
    code: 'no-freezing',
    message: expect.stringMatching(/"cgroup-v1" needs .*freezer.*freezing: auto/),
  });
});
