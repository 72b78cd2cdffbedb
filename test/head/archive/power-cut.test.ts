import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { callerMetadata } from '../../../base/channel/caller.ts';
import { call } from '../../../base/channel/client.ts';
import { AttemptPhase } from '../../../proto/gen/labrun/v1/agent_link.ts';
import { aSelector, HeadWorld } from '../../kit/head-world.ts';
import { LinkAgent } from '../../kit/link-agent.ts';
import { itWith } from '../../kit/real-parts.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { mountLoopDisk } from '../../kit/small-disk.ts';
import { aSpec } from '../../kit/spec.ts';

itWith('small disk')('what is told to be in the archive is there whole after a power cut', async ({ skip }) => {
  const folder = scratchFolder();
  const disk = mountLoopDisk(join(folder, 'archive'), 64 * 2 ** 20);
  onTestFinished(() => disk.remove());
  const world = await HeadWorld.open(folder, 'diskReserve: 8M\n');
  onTestFinished(() => world.close());
  const agent = await new LinkAgent(world.head.address, 'n1').connected();
  onTestFinished(() => agent.close());
  await world.submit(aSpec());
  const { fence } = await agent.hear('assign');
  const end = await agent.stage(fence, { 'result.txt': 'one' }, 'a log', { link: 'result.txt' });
  await agent.report(fence, AttemptPhase.ENDED, end);
  await agent.hear('settle');
  await world.ended('batch');
  const before = await world.pull({ batch: 'batch' });
  const batchFile = readFileSync(join(disk.folder, 'lab/batch/.labrun/batch.json'), 'utf8');

  const cut = (name: string) => {
    const after = disk.afterPowerCut(join(folder, name));
    if (!after) return skip('there are no loop devices here');
    onTestFinished(() => after.remove());
    return (...path: string[]) => readFileSync(join(after.folder, 'lab/batch', ...path), 'utf8');
  };
  const published = cut('published');
  expect([...before.keys()]).toContain('job/.labrun/meta.json');
  for (const [path, text] of before) expect(published(path), path).toBe(text);
  expect(published('job/link')).toBe('one');

  const selector = aSelector({ batch: 'batch' });
  const metadata = callerMetadata({ kind: 'user', name: 'lab' });
  await call(world.batches, world.batches.delete, { selector }, { metadata });
  const deleted = cut('deleted');
  expect(deleted('.labrun/batch.json')).toBe(batchFile);
  expect(deleted('.labrun/deleted.json')).toContain('"deletedBy":"lab"');
});
