import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { callerMetadata } from '../../../base/channel/caller.ts';
import { call } from '../../../base/channel/client.ts';
import { readStream } from '../../../base/channel/streams.ts';
import type { Selector } from '../../../proto/gen/labrun/v1/common.ts';
import { aSelector, HeadWorld } from '../../kit/head-world.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { aGroup, aMatrix, aSpec } from '../../kit/spec.ts';

let world: HeadWorld;
const metadata = callerMetadata({ kind: 'user', name: 'lab' });

beforeEach(async () => {
  world = await HeadWorld.open(scratchFolder());
  const groups = [aGroup({ matrix: aMatrix({ nu: ['1e-5', '0.10'], mesh: ['coarse', 'fine'] }) })];
  await world.submit(aSpec({ name: 'airfoil', groups }));
  await world.submit(aSpec({ name: 'airship' }));
});
afterEach(() => world.close());

async function names(over: Partial<Selector>): Promise<string[]> {
  const found: string[] = [];
  for await (const page of readStream(world.batches.jobs({ selector: aSelector(over) }, metadata))) {
    found.push(...page.jobs.map(({ name }) => name));
  }
  return found;
}

describe('a selector', () => {
  it('finds a batch by name in any case, by a prefix of one only, and by id', async () => {
    const { batchId } = await world.get('AirShip');
    expect((await world.get('airf')).name).toBe('airfoil');
    expect((await world.get(batchId)).name).toBe('airship');
    await expect(world.get('air')).rejects.toThrow(/Cannot tell which batch "lab\/air" is: airfoil, airship/);
    await expect(world.get('wing')).rejects.toThrow(/Cannot find the batch "lab\/wing"/);
  });

  it('finds jobs by name, glob, parameter and state', async () => {
    expect(await names({ batch: 'airfoil', job: 'job_nu-0.10_mesh-fine' })).toEqual(['job_nu-0.10_mesh-fine']);
    expect(await names({ batch: 'airfoil', job: '*fine' })).toEqual(['job_nu-1e-5_mesh-fine', 'job_nu-0.10_mesh-fine']);
    expect(await names({ batch: 'airfoil', where: [{ axis: 'nu', value: '0.10' }] })).toHaveLength(2);
    expect(await names({ batch: 'airfoil', where: [{ axis: 'nu', value: '0.1' }] })).toEqual([]);
    expect(await names({ batch: 'airfoil', states: ['queued'] })).toHaveLength(4);
    expect(await names({ batch: 'airfoil', states: ['failed'] })).toEqual([]);
  });

  it('takes the beginning of one job’s name, and names the candidates of several', async () => {
    expect(await names({ batch: 'airship', job: 'jo' })).toEqual(['job']);
    await expect(names({ batch: 'airfoil', job: 'job_nu-1' })).rejects.toThrow(
      /nu-1e-5_mesh-coarse, job_nu-1e-5_mesh-fine/,
    );
    await expect(names({ batch: 'airfoil', job: 'nope' })).rejects.toThrow(/Cannot find the job "nope"/);
  });

  it('refuses states that are none, and a retry of everything', async () => {
    await expect(names({ batch: 'airfoil', states: ['done'] })).rejects.toThrow(/the states are queued, held/);
    const everything = { selector: aSelector({ batch: 'airfoil' }) };
    await expect(call(world.batches, world.batches.retry, everything, { metadata })).rejects.toThrow(/say which/);
  });

  it('holds and releases what it selects, once', async () => {
    const fine = { selector: aSelector({ batch: 'airfoil', job: '*fine' }) };
    expect(await call(world.batches, world.batches.hold, fine, { metadata })).toMatchObject({
      changed: 2,
      selected: 2,
    });
    expect(await call(world.batches, world.batches.hold, fine, { metadata })).toMatchObject({
      changed: 0,
      selected: 2,
    });
    expect((await world.get('airfoil')).counts).toMatchObject({ held: 2, queued: 2 });
    expect(await call(world.batches, world.batches.release, fine, { metadata })).toMatchObject({ changed: 2 });
  });

  it('lists a person’s batches, newest first', async () => {
    const listed = await call(
      world.batches,
      world.batches.list,
      { selector: undefined, all: false, pageToken: '' },
      { metadata },
    );
    expect(listed.batches.map(({ name }) => name)).toEqual(['airship', 'airfoil']);
  });
});
