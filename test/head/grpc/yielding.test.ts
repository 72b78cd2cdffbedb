import { afterEach, beforeEach, expect, it } from 'vitest';
import { callerMetadata } from '../../../base/channel/caller.ts';
import { call } from '../../../base/channel/client.ts';
import { readStream } from '../../../base/channel/streams.ts';
import { AttemptPhase, NodeYield } from '../../../proto/gen/labrun/v1/agent_link.ts';
import type { JobView } from '../../../proto/gen/labrun/v1/batches.ts';
import type { NodeView } from '../../../proto/gen/labrun/v1/nodes.ts';
import { aSelector, HeadWorld } from '../../kit/head-world.ts';
import { LinkAgent } from '../../kit/link-agent.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { aGroup, aMatrix, aSpec } from '../../kit/spec.ts';
import { until } from '../../kit/until.ts';

const metadata = callerMetadata({ kind: 'user', name: 'lab' });
const twoJobs = () => aSpec({ groups: [aGroup({ matrix: aMatrix({ nu: ['1', '2'] }) })] });
let world: HeadWorld;
const agents: LinkAgent[] = [];

beforeEach(async () => {
  world = await HeadWorld.open(scratchFolder());
});

afterEach(async () => {
  for (const agent of agents.splice(0)) agent.close();
  await world.close();
});

async function anAgent(name: string, cpus: number): Promise<LinkAgent> {
  const agent = await new LinkAgent(world.head.address, name, cpus).connected();
  agents.push(agent);
  return agent;
}

async function nodeCalled(name: string): Promise<NodeView | undefined> {
  const { nodes } = await call(world.nodes, world.nodes.list, {}, { metadata });
  return nodes.find((node) => node.name === name);
}

async function jobs(): Promise<JobView[]> {
  const all: JobView[] = [];
  const stream = world.batches.jobs({ selector: aSelector({ batch: 'batch' }) }, metadata);
  for await (const page of readStream(stream)) all.push(...page.jobs);
  return all;
}

const yields = (over: Partial<NodeYield>) => ({ $case: 'yield', value: NodeYield.fromPartial(over) }) as const;

const pause = yields({
  ...{ step: 'pause', cause: 'asked', by: 'ada', reason: 'presentation', sinceMsAgo: 5_000n, endsInMs: 1_800_000n },
});

it('shows who has paused a node and its jobs, sends elsewhere what it has not begun, and tells the story', async () => {
  const desk = await anAgent('desk', 1);
  await world.submit(twoJobs());
  const { fence: runs } = await desk.hear('assign');
  const { fence: waits } = await desk.hear('assign');
  await desk.report(runs, AttemptPhase.RUNNING);
  await desk.tell(pause);
  expect(await desk.hear('recall')).toMatchObject({ index: waits?.index });
  await desk.report(runs, AttemptPhase.PAUSED, { pausedMs: 10n });
  await desk.report(waits, AttemptPhase.RETURNED, { returnedReason: 'recalled' });

  const by = /^desk is paused by ada until \d{4}-\d\d-\d\dT[\d:.]+Z: "presentation"$/;
  const [paused, other] = await jobs();
  expect(paused).toMatchObject({ state: 'paused', message: expect.stringMatching(by), pausedMs: 0n });
  expect(paused?.pausedSinceMs).toBeGreaterThan(0n);
  expect(other).toMatchObject({ state: 'queued', message: '' });
  expect((await world.get('batch')).counts).toMatchObject({ paused: 1, queued: 1 });
  expect(await world.why('batch', paused?.name ?? '')).toMatch(/^Paused: desk is paused by ada until .*; it goes on/);
  expect(await world.why('batch', other?.name ?? '')).toMatch(/^Waits: desk is paused by ada until /);
  const node = await nodeCalled('desk');
  expect(node).toMatchObject({
    ...{ state: 'connected', yielding: 'pause', freezing: 'stop' },
    yield: { takesJobs: false, cause: 'asked', by: 'ada', reason: 'presentation' },
  });
  expect(Number(node?.yield?.untilMs) - Number(node?.yield?.sinceMs)).toBe(1_805_000);

  const free = await anAgent('free', 1);
  await free.report((await free.hear('assign')).fence, AttemptPhase.RUNNING);
  await desk.tell(yields({ step: 'none', takesJobs: true }));
  await desk.report(runs, AttemptPhase.RUNNING);
  expect((await jobs())[0]).toMatchObject({ state: 'running', pausedSinceMs: undefined });
  expect(await nodeCalled('desk')).toMatchObject({ yielding: '', yield: { takesJobs: true, text: '' } });
  const story = await world.story();
  expect(story.map(({ kind }) => kind)).toEqual(
    expect.arrayContaining(['node-yielded', 'job-recalled', 'job-paused', 'job-resumed']),
  );
  expect(story.find(({ kind }) => kind === 'node-yielded')).toMatchObject({
    ...{ node: 'desk', actor: { name: 'desk' } },
    facts: { step: 'pause', takesJobs: 'false', cause: 'asked', by: 'ada', reason: 'presentation' },
  });
  expect(world.complaints).toEqual([]);
});

it('stops a job that its node wants to be rid of, lets it wait again without a retry, and keeps how long it was paused', async () => {
  const desk = await anAgent('desk', 1);
  await world.submit(aSpec());
  const { fence } = await desk.hear('assign');
  await desk.report(fence, AttemptPhase.PAUSED);
  await desk.tell(yields({ step: 'pause', cause: 'memory', reason: 'two minutes short of memory' }));
  await desk.tell({ $case: 'requeue', value: { fence, reason: 'two minutes short of memory' } });
  await desk.hear('cancel');
  const free = await anAgent('free', 1);
  const outcome = { state: 'cancelled', reason: '', message: '', exitCode: undefined, signal: 15, ranMs: 9n };
  const end = await desk.stage(fence, { 'half.csv': '1\n' });
  await desk.report(fence, AttemptPhase.ENDED, { ...end, outcome, pausedMs: 7_000n });
  const again = await free.hear('assign');
  expect(again.fence).toMatchObject({ index: 0, attempt: 2 });
  expect((await jobs())[0]).toMatchObject({ attempt: 2, pausedMs: 0n });
  await free.endInline(again.fence, { 'whole.csv': '1\n' });
  expect((await world.ended('batch')).state).toBe('succeeded');
  const story = await world.story({ batch: 'batch' });
  expect(story.find(({ kind }) => kind === 'job-requeued')).toMatchObject({
    ...{ actor: { name: 'desk' }, facts: { reason: 'two minutes short of memory' } },
  });
  expect(story.find(({ kind }) => kind === 'job-finished')).toMatchObject({
    ...{ attempt: 1, facts: { pausedMs: '7000', requeued: 'true' } },
    message: 'cancelled; it was paused for 7.0s; it waits again',
  });
  expect(world.complaints).toEqual([]);
});

it('tells whoever submitted a job for how long it was paused, also after the next start', async () => {
  const desk = await anAgent('desk', 1);
  await world.submit(aSpec());
  const { fence } = await desk.hear('assign');
  await desk.report(fence, AttemptPhase.PAUSED);
  await desk.endInline(fence, { 'whole.csv': '1\n' }, '', { pausedMs: 7_000n });
  await world.ended('batch');
  const told = { state: 'succeeded', attempt: 1, pausedMs: 7_000n, pausedSinceMs: undefined };
  expect(await jobs()).toMatchObject([told]);
  await world.restart();
  expect(await jobs()).toMatchObject([told]);
});

it('drains a node by name, says so everywhere until it is undrained, and remembers it over a restart', async () => {
  const desk = await anAgent('desk', 1);
  const wish = { node: 'DESK', reason: 'a new\ndisk' }; // told in the middle of sentences
  expect(await call(world.nodes, world.nodes.drain, wish, { metadata })).toMatchObject({ changed: true, running: 0 });
  const again = await call(world.nodes, world.nodes.drain, { node: 'desk', reason: 'a new disk' }, { metadata });
  expect(again).toEqual({ node: 'desk', changed: false, running: 0 });
  expect(await nodeCalled('desk')).toMatchObject({ state: 'drained', drained: { by: 'lab', reason: 'a new disk' } });
  await world.submit(aSpec());
  await world.restart();
  const back = await new LinkAgent(world.head.address, 'desk', 1, desk.nodeId).connected();
  agents.push(back);
  expect(await nodeCalled('desk')).toMatchObject({ state: 'drained' });
  expect(await world.why('batch', 'job')).toBe('Waits: desk is drained by lab: "a new disk"; what runs there goes on');
  const undrained = await call(world.nodes, world.nodes.undrain, { node: 'desk' }, { metadata });
  expect(undrained).toMatchObject({ node: 'desk', changed: true });
  await back.hear('assign');
  // What has not begun there does not go on: it is asked back.
  const drained = await call(world.nodes, world.nodes.drain, { node: 'desk', reason: '' }, { metadata });
  expect(drained).toMatchObject({ changed: true, running: 0 });
  expect((await world.story()).map(({ kind }) => kind)).toEqual(
    expect.arrayContaining(['node-drained', 'node-undrained']),
  );
  await expect(call(world.nodes, world.nodes.drain, { node: 'none', reason: '' }, { metadata })).rejects.toThrow(
    'Cannot drain node "none": there is none of that name',
  );
  await expect(
    call(world.nodes, world.nodes.drain, { node: 'desk', reason: 'x'.repeat(201) }, { metadata }),
  ).rejects.toThrow('its reason has 201 characters');
});

it('gives jobs again to a node that was in trouble and has an agent of an earlier release now, which knows of none', async () => {
  const desk = await anAgent('desk', 1);
  await desk.beat(1n, 'its disk is full');
  await until('the head has noted it', async () => (await nodeCalled('desk'))?.state === 'troubled');
  desk.close();
  const back = await new LinkAgent(world.head.address, 'desk', 1, desk.nodeId).connected();
  agents.push(back);
  await world.submit(aSpec());
  await back.beat(2n);
  await back.hear('assign');
});

it('keeps from a node that was drained while it was away also what it had been given and never heard of', async () => {
  const desk = await anAgent('desk', 1);
  await world.submit(aSpec());
  await desk.hear('assign');
  desk.close();
  await call(world.nodes, world.nodes.drain, { node: 'desk', reason: '' }, { metadata });
  const other = await anAgent('other', 1);
  // It says that it holds nothing: the line broke before it had heard.
  const back = await new LinkAgent(world.head.address, 'desk', 1, desk.nodeId).connected();
  agents.push(back);
  expect((await other.hear('assign')).fence).toMatchObject({ index: 0, attempt: 2 });
  await back.beat(1n);
  expect(back.heard).toEqual([]);
});

it('takes no harm from what an agent claims to yield, and takes what it does not know for less', async () => {
  const desk = await anAgent('desk', 1);
  const huge = 2n ** 64n - 1n;
  await desk.tell(
    yields({
      ...{ step: 'evaporate', cause: 'whim', by: 'b'.repeat(9_000), reason: 'r'.repeat(9_000), sinceMsAgo: huge },
      ...{ endsInMs: huge, condition: 'c'.repeat(9_000), usuallyFreeFromMinute: 1440, interruptionPerMille: 9_999 },
    }),
  );
  const told = (await nodeCalled('desk'))?.yield;
  expect(await nodeCalled('desk')).toMatchObject({ yielding: 'throttle', yield: { takesJobs: false, cause: '' } });
  expect([told?.by, told?.reason, told?.condition].map((text) => text?.length)).toEqual([256, 256, 256]);
  expect(told?.text).toMatch(/^gives jobs less than all it has, and takes no new ones until 20\d\d-/);
  expect(told).toMatchObject({ usuallyFreeFromMinute: undefined, interruptionPerMille: 1000 });
  await desk.tell({ $case: 'requeue', value: { fence: undefined, reason: '' } });
  expect(world.complaints).toEqual([expect.stringContaining('Cannot read which attempt a node wants to be rid of')]);
  expect(desk.ended).toBeUndefined();
});
