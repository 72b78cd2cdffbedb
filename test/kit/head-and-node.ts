import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { callerMetadata } from '../../base/channel/caller.ts';
import { call } from '../../base/channel/client.ts';
import type { Fence } from '../../proto/gen/labrun/v1/common.ts';
import { aSelector, HeadWorld } from './head-world.ts';
import { LinkAgent } from './link-agent.ts';
import { scratchFolder } from './scratch-folder.ts';
import { aSpec } from './spec.ts';
import { until } from './until.ts';

/** A head in a folder of its own, and a node that is connected to it. */
export interface HeadAndNode {
  readonly folder: string;
  readonly world: HeadWorld;
  readonly agent: LinkAgent;
}

/** Both end with the test. */
export async function aHeadAndNode(): Promise<HeadAndNode> {
  const folder = scratchFolder();
  const world = await HeadWorld.open(folder);
  onTestFinished(() => world.close());
  const agent = await new LinkAgent(world.head.address, 'n1').connected();
  onTestFinished(() => agent.close());
  return { folder, world, agent };
}

/** Submits a batch of one job, and answers its attempt. */
export async function begin({ world, agent }: Omit<HeadAndNode, 'folder'>, name = 'batch'): Promise<Fence> {
  await world.submit(aSpec({ name }));
  await until('its folder is there', () => existsSync(join(world.archive, 'lab', name, '.labrun/batch.json')));
  return (await agent.hear('assign')).fence as Fence; // the head always names one
}

/** Retries the job of such a batch, and answers its next attempt. */
export async function retry({ world, agent }: Omit<HeadAndNode, 'folder'>, batch: string): Promise<Fence> {
  const metadata = callerMetadata({ kind: 'user', name: 'lab' });
  await call(world.batches, world.batches.retry, { selector: aSelector({ batch, job: 'job' }) }, { metadata });
  return (await agent.hear('assign')).fence as Fence; // the head always names one
}
