import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { openClient } from '../../../base/channel/client.ts';
import { asNodeId } from '../../../base/ids.ts';
import { Outbox } from '../../../node-agent/uplink/outbox.ts';
import { Session } from '../../../node-agent/uplink/session.ts';
import { AgentLinkClient } from '../../../proto/gen/labrun/v1/agent_link.ts';
import { aFence } from '../../kit/attempts.ts';
import { ManualClock } from '../../kit/manual-clock.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { TestHead } from '../../kit/test-head.ts';
import { until } from '../../kit/until.ts';

const startMs = 1_000_000;

/** A session with a head of the test; answers what the head is known to have heard, each time it is told. */
async function aSession(features: string[]) {
  const path = join(scratchFolder(), 'head.sock');
  const head = new TestHead(path);
  head.features = features;
  await head.start();
  const nodeId = asNodeId('01ARZ3NDEKTSV4RRFFQ69G5FAV');
  if (!nodeId) throw new Error('a ULID is a node id');
  const clock = new ManualClock(startMs);
  const client = openClient(AgentLinkClient, { kind: 'unix', path }, 'control');
  const heard: number[] = [];
  const outbox = new Outbox();
  const nothing = async () => {};
  const session = new Session(client, {
    ...{ clock, nodeId, outbox, welcomed: nothing, written: nothing, durable: nothing },
    hello: () => ({
      ...{ protocolMin: 1, protocolMax: 1, features: [], version: '0', clusterId: '', nodeId, nodeName: 'n1' },
      ...{ bootId: 'boot', inventory: undefined, attempts: [], builds: [] },
    }),
    trouble: () => '',
    heard: () => undefined,
    garbled: () => undefined,
    openShell: () => undefined,
    leased: (heardMs) => void heard.push(heardMs),
  });
  const stop = new AbortController();
  const ended = session.run(stop.signal).catch(() => undefined);
  onTestFinished(async () => {
    stop.abort(new Error('the test is over'));
    await ended;
    client.close();
    await head.stop();
  });
  await until('the head has compared', () => heard.length > 0);
  return { head, clock, heard, session, outbox };
}

it('renews the lease from when it spoke: words of the head that waited while the agent was stopped are worth nothing', async () => {
  const { head, clock, heard } = await aSession(['heartbeat.echo']);
  expect(heard).toEqual([startMs]);
  clock.advance(5_000);
  const [sentMs] = await head.until(() => head.heartbeats.length > 0 && head.heartbeats);
  expect(sentMs).toBe(BigInt(startMs + 5_000));
  clock.advance(900_000);
  head.beat(); // sent on the head's own account
  head.beat(sentMs);
  await until('both are read', () => heard.length === 3);
  expect(heard).toEqual([startMs, startMs, startMs + 5_000]);
});

it('takes every word of an older head, which does not say what it has heard', async () => {
  const { head, clock, heard } = await aSession([]);
  clock.advance(60_000);
  head.beat();
  await until('it is read', () => heard.length === 2);
  expect(heard).toEqual([startMs, startMs + 60_000]);
});

it('knows when the head has acknowledged everything, and that it has not', async () => {
  const { session, outbox } = await aSession(['heartbeat.echo']);
  await session.told(new AbortController().signal); // there is nothing to tell
  let sent = 0;
  const news = () => {
    sent += 1;
    return { kind: 'requeue', fence: aFence(), reason: 'it will sleep' } as const;
  };
  outbox.note('requeue', news, 'now');
  const late = new AbortController();
  const untold = session.told(late.signal);
  late.abort(new Error('too late'));
  await expect(untold).rejects.toThrow('too late');
  const told = session.told(new AbortController().signal);
  expect(sent).toBe(0);
  session.poke();
  await told;
  expect(sent).toBe(1);
});
