import { existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { aHeadAndNode, begin, retry } from '../../kit/head-and-node.ts';
import { HeadWorld } from '../../kit/head-world.ts';
import type { LinkAgent } from '../../kit/link-agent.ts';

let folder = '';
let world: HeadWorld;
let agent: LinkAgent;

beforeEach(async () => {
  ({ folder, world, agent } = await aHeadAndNode());
});

const job = (...path: string[]) => join(world.archive, 'lab/batch/job', ...path);

/** Starts a head on the same data, which makes everything part of the tree once more. */
async function startsAnew(): Promise<void> {
  agent.close();
  await world.close();
  rmSync(join(world.archive, '.staging/published'), { force: true });
  world = await HeadWorld.on(folder);
}

describe('a small archive', () => {
  for (const lost of ['result.txt', '.labrun/manifest', '.labrun/meta.json', 'all']) {
    it(`is whole again after a power cut that took ${lost}`, async () => {
      const fence = await begin({ world, agent });
      await agent.endInline(fence, { 'result.txt': 'one', empty: '' }, 'a log');
      const before = await world.pull({ batch: 'batch' });
      expect(before.get('job/result.txt')).toBe('one');
      const files = lost === 'all' ? [...before.keys()].map((path) => path.slice('job/'.length)) : [lost];
      for (const path of files) truncateSync(job(path));
      await startsAnew();
      expect(await world.pull({ batch: 'batch' })).toEqual(before);
      expect(existsSync(join(world.archive, 'lab/batch/.labrun/attempts'))).toBe(false);
    });
  }

  it('of an earlier attempt is whole again, too, and each is in its place', async () => {
    await agent.endInline(await begin({ world, agent }), { 'result.txt': 'one' }, 'first');
    await world.ended('batch');
    await agent.endInline(await retry({ world, agent }, 'batch'), { 'result.txt': 'two' }, 'second');
    const before = await world.pull({ batch: 'batch' });
    const earlier = join(world.archive, 'lab/batch/.labrun/attempts/job.1');
    expect(readFileSync(join(earlier, 'result.txt'), 'utf8')).toBe('one');
    for (const path of [join(earlier, 'result.txt'), join(earlier, '.labrun/meta.json'), job('.labrun/meta.json')])
      truncateSync(path);
    await startsAnew();
    expect(await world.pull({ batch: 'batch' })).toEqual(before);
    expect(readFileSync(join(earlier, 'result.txt'), 'utf8')).toBe('one');
    expect(readdirSync(join(earlier, '..'))).toEqual(['job.1']);
  });

  it('is left as it is where somebody has changed it', async () => {
    await agent.endInline(await begin({ world, agent }), { 'result.txt': 'one' }, 'a log');
    await world.pull({ batch: 'batch' });
    writeFileSync(job('result.txt'), 'put right by hand');
    writeFileSync(job('notes'), '');
    await startsAnew();
    expect((await world.pull({ batch: 'batch' })).get('job/result.txt')).toBe('put right by hand');
    expect(existsSync(job('notes'))).toBe(true);
  });
});
