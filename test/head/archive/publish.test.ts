import {
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { AttemptPhase } from '../../../proto/gen/labrun/v1/agent_link.ts';
import { aHeadAndNode, begin, retry } from '../../kit/head-and-node.ts';
import { HeadWorld } from '../../kit/head-world.ts';
import type { LinkAgent } from '../../kit/link-agent.ts';
import { aGroup, aMatrix, aSpec } from '../../kit/spec.ts';
import { until } from '../../kit/until.ts';

let folder = '';
let world: HeadWorld;
let agent: LinkAgent;

beforeEach(async () => {
  ({ folder, world, agent } = await aHeadAndNode());
});

const job = (...path: string[]) => join(world.archive, 'lab/batch/job', ...path);

/** What the batch has kept there, once its results are in their place. */
const kept = (path: string) =>
  until('its results are in their place', async () => (await world.pull({ batch: 'batch' })).get(path));

/** Puts a file where the namespace's folder must be; answers how to put it right. */
function inTheWay(): () => void {
  const [namespace, away] = [join(world.archive, 'lab'), join(world.archive, 'away')];
  renameSync(namespace, away);
  writeFileSync(namespace, '');
  return () => {
    rmSync(namespace);
    renameSync(away, namespace);
  };
}

describe('an archive that was accepted and could not be put into its folder at once', () => {
  for (const head of ['same', 'next'] as const) {
    it(`is there with its links when the ${head} head can`, async () => {
      const fence = await begin({ world, agent });
      const end = await agent.stage(fence, { 'out/a': 'x' }, 'log', { 'out/latest': 'a', escape: '/etc' });
      const putRight = inTheWay();
      await agent.report(fence, AttemptPhase.ENDED, end);
      await agent.hear('settle');
      const told = /results of "lab\/batch" cannot be put into its folder/;
      await until('it is told', async () => (await world.notices()).some((text) => told.test(text)));
      await expect(world.pull({ batch: 'batch' })).rejects.toThrow(/Cannot read its results now.*ENOTDIR/);
      if (head === 'next') {
        agent.close();
        await world.close();
      }
      putRight();
      if (head === 'next') world = await HeadWorld.on(folder);
      expect(await kept('job/out/a')).toBe('x');
      expect([readlinkSync(job('out/latest')), readlinkSync(job('escape'))]).toEqual(['a', '/etc']);
      expect(await world.notices()).toEqual([]);
    });
  }

  it('holds up the results of no other batch', async () => {
    const fence = await begin({ world, agent });
    const other = await begin({ world, agent }, 'other');
    rmSync(join(world.archive, 'lab/batch'), { recursive: true });
    writeFileSync(join(world.archive, 'lab/batch'), 'by hand');
    mkdirSync(join(world.archive, 'lab/.replaced'));
    writeFileSync(join(world.archive, 'lab/.replaced', `batch.${fence.batchId}`), 'by hand');
    await agent.endInline(fence, { 'result.txt': 'held' });
    await agent.endInline(other, { 'result.txt': 'there' });
    expect((await world.pull({ batch: 'other' })).get('job/result.txt')).toBe('there');
    rmSync(join(world.archive, 'lab/.replaced'), { recursive: true });
    expect(await kept('job/result.txt')).toBe('held');
  });
});

describe('a small archive', () => {
  it('finds its place where somebody has moved the one before away and left a link', async () => {
    await agent.endInline(await begin({ world, agent }), { 'result.txt': 'one' });
    await world.ended('batch');
    await world.pull({ batch: 'batch' });
    renameSync(job(), join(folder, 'moved'));
    symlinkSync(join(folder, 'moved'), job());
    await agent.endInline(await retry({ world, agent }, 'batch'), { 'result.txt': 'two' });
    expect((await world.pull({ batch: 'batch' })).get('job/result.txt')).toBe('two');
    expect(readFileSync(join(folder, 'moved/result.txt'), 'utf8')).toBe('one');
  });
});

describe('a batch whose folder somebody has removed', () => {
  it('has all that comes after it in one place, where it is found', async () => {
    await world.submit(aSpec({ groups: [aGroup({ matrix: aMatrix({ i: ['0', '1', '2'] }) })] }));
    const own = join(world.archive, 'lab/batch/.labrun/batch.json');
    await until('its folder is there', () => existsSync(own));
    const batchFile = readFileSync(own, 'utf8');
    rmSync(join(world.archive, 'lab/batch'), { recursive: true });
    for (let at = 0; at < 3; at++) {
      const { fence } = await agent.hear('assign');
      const files = { 'result.txt': `${fence?.index}` };
      if (at === 1) await agent.report(fence, AttemptPhase.ENDED, await agent.stage(fence, files));
      else await agent.endInline(fence, files);
      await world.pull({ batch: 'batch' });
    }
    await world.ended('batch');
    const results = [...(await world.pull({ batch: 'batch' }, ['result']))].sort();
    expect(results.map(([, text]) => text)).toEqual(['0', '1', '2']);
    expect(readFileSync(own, 'utf8')).toBe(batchFile);
  });
});
