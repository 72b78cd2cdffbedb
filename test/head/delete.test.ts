import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { callerMetadata } from '../../base/channel/caller.ts';
import { call } from '../../base/channel/client.ts';
import { AttemptPhase } from '../../proto/gen/labrun/v1/agent_link.ts';
import type { DeleteBatchResponse } from '../../proto/gen/labrun/v1/batches.ts';
import type { Selector } from '../../proto/gen/labrun/v1/common.ts';
import { aHeadAndNode } from '../kit/head-and-node.ts';
import { aSelector, HeadWorld } from '../kit/head-world.ts';
import { LinkAgent } from '../kit/link-agent.ts';
import { aGroup, aMatrix, aSpec } from '../kit/spec.ts';
import { until } from '../kit/until.ts';

const metadata = callerMetadata({ kind: 'user', name: 'lab' });
let folder = '';
let world: HeadWorld;
let agent: LinkAgent;

beforeEach(async () => {
  ({ folder, world, agent } = await aHeadAndNode());
  await world.submit(aSpec({ groups: [aGroup({ matrix: aMatrix({ i: ['0', '1'] }) })] }));
});

const batchFolder = () => join(world.archive, 'lab/batch');
const inside = () => readdirSync(batchFolder(), { recursive: true, encoding: 'utf8' }).sort();
const emptied = ['.labrun', '.labrun/batch.json', '.labrun/deleted.json'];

async function remove(over: Partial<Selector> = {}): Promise<DeleteBatchResponse> {
  const selector = aSelector({ batch: 'batch', ...over });
  return await call(world.batches, world.batches.delete, { selector }, { metadata });
}

/** One job ends in its report, the other is staged. */
async function bothEnd(text: string): Promise<void> {
  const [first, second] = [await agent.hear('assign'), await agent.hear('assign')];
  await agent.endInline(first.fence, { 'result.txt': text }, 'a log');
  const end = await agent.stage(second.fence, { 'result.txt': text }, 'a log');
  await agent.report(second.fence, AttemptPhase.ENDED, end);
  await world.ended('batch');
}

describe('deleting a batch', () => {
  it('removes its tree but for batch.json, and says from then on who did it and when', async () => {
    await bothEnd('one');
    const batchFile = readFileSync(join(batchFolder(), '.labrun/batch.json'), 'utf8');
    expect(await remove()).toMatchObject({ namespace: 'lab', name: 'batch', deleted: true });
    expect(inside()).toEqual(emptied);
    expect(readFileSync(join(batchFolder(), '.labrun/batch.json'), 'utf8')).toBe(batchFile);
    await until('the room is free again', () => readdirSync(join(world.archive, '.staging/trash')).length === 0);

    const told = /"lab" deleted it on 20\d\d-\d\d-\d\dT/;
    await expect(world.pull({ batch: 'batch' })).rejects.toThrow(told);
    const log = { follow: false, buildNode: '', offset: 0n, attempt: 0 };
    const selector = aSelector({ batch: 'batch', job: 'job_i-0' });
    const reading = world.files.log({ ...log, selector }, metadata);
    await expect(reading.toArray()).rejects.toThrow(told);
    expect(await world.get('batch')).toMatchObject({ deletedBy: 'lab', state: 'succeeded' });
    expect(await world.story()).toContainEqual(
      expect.objectContaining({ kind: 'batch-deleted', batch: 'batch', actor: { kind: 1, name: 'lab' } }),
    );
    expect(await remove()).toMatchObject({ deleted: false });
  });

  it('is refused while it has not ended, and for some of its jobs', async () => {
    await expect(remove()).rejects.toThrow('it has not ended; first "labrun cancel lab/batch"');
    await expect(remove({ job: 'job_i-0' })).rejects.toThrow('results go with their whole batch');
    await expect(remove({ states: ['failed'] })).rejects.toThrow('results go with their whole batch');
    await until('its folder is there', () => existsSync(join(batchFolder(), '.labrun/batch.json')));
    expect(existsSync(join(batchFolder(), '.labrun/deleted.json'))).toBe(false);
  });

  it('brings nothing back when a head that was killed publishes again, and keeps what came later', async () => {
    await bothEnd('before');
    await remove();
    const retry = aSelector({ batch: 'batch', job: 'job_i-1' });
    await call(world.batches, world.batches.retry, { selector: retry }, { metadata });
    const again = await agent.hear('assign');
    await agent.endInline(again.fence, { 'result.txt': 'after' });
    await world.ended('batch');
    agent.close();
    await world.close();
    // As if the power had gone: everything is published once more.
    rmSync(join(world.archive, '.staging/published'), { force: true });
    world = await HeadWorld.on(folder);
    const pulled = await world.pull({ batch: 'batch' });
    expect(pulled.get('job_i-1/result.txt')).toBe('after');
    expect([...pulled.keys()].filter((path) => path.startsWith('job_i-0'))).toEqual([]);
    expect(world.complaints).toEqual([]);
  });

  it('takes nothing with it that came later, also where somebody had removed what it left', async () => {
    await bothEnd('before');
    await remove();
    rmSync(batchFolder(), { recursive: true });
    const retry = aSelector({ batch: 'batch', job: 'job_i-1' });
    await call(world.batches, world.batches.retry, { selector: retry }, { metadata });
    const { fence } = await agent.hear('assign');
    await agent.report(fence, AttemptPhase.ENDED, await agent.stage(fence, { 'result.txt': 'after' }, 'a log'));
    await world.ended('batch');
    expect((await world.pull({ batch: 'batch' })).get('job_i-1/result.txt')).toBe('after');
    agent.close();
    await world.close();
    rmSync(join(world.archive, '.staging/published'), { force: true });
    world = await HeadWorld.on(folder);
    expect((await world.pull({ batch: 'batch' })).get('job_i-1/result.txt')).toBe('after');
  });

  it('is finished by the next head when this one ends in the middle', async () => {
    await bothEnd('one');
    await remove();
    agent.close();
    await world.close();
    // The tree is out of its place, and what is to stay is not yet in it; of another, files are left.
    const kept = join(world.archive, '.staging', `${(await idOf()).id}.kept`);
    cpSync(batchFolder(), kept, { recursive: true });
    rmSync(batchFolder(), { recursive: true });
    mkdirSync(join(world.archive, '.staging/trash/left'), { recursive: true });
    writeFileSync(join(world.archive, '.staging/trash/left/big'), 'x');
    rmSync(join(world.archive, '.staging/published'), { force: true });
    world = await HeadWorld.on(folder);
    await until('it is finished', () => existsSync(batchFolder()) && inside().length === emptied.length);
    expect(inside()).toEqual(emptied);
    await until('the trash is empty', () => readdirSync(join(world.archive, '.staging/trash')).length === 0);
  });

  async function idOf(): Promise<{ id: string }> {
    return JSON.parse(readFileSync(join(batchFolder(), '.labrun/batch.json'), 'utf8'));
  }

  it('gives a namespace its room back', async () => {
    agent.close();
    await world.close();
    rmSync(join(folder, 'head.yaml'));
    writeFileSync(join(folder, 'head.yaml'), 'quotas: {lab: {archive: 1M}}\n');
    world = await HeadWorld.on(folder);
    agent = await new LinkAgent(world.head.address, 'n1', 2, agent.nodeId).connected();
    for (let job = 0; job < 2; job++) {
      const { fence } = await agent.hear('assign');
      await agent.report(fence, AttemptPhase.ENDED, await agent.stage(fence, { big: 'x'.repeat(600_000) }));
    }
    await world.ended('batch');
    await until('the namespace is full', async () =>
      (await world.story()).some(({ kind }) => kind === 'namespace-filled'),
    );
    await remove();
    await until('it has room', async () => {
      const filled = (await world.story()).filter(({ kind }) => kind === 'namespace-filled');
      return filled.at(-1)?.message.includes('has room again');
    });
  });
});
