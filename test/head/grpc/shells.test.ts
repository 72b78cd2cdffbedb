import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { call, openClient } from '../../../base/channel/client.ts';
import type { Endpoint } from '../../../base/channel/credentials.ts';
import { readStream } from '../../../base/channel/streams.ts';
import { AccessClient } from '../../../proto/gen/labrun/v1/access.ts';
import { AttemptPhase } from '../../../proto/gen/labrun/v1/agent_link.ts';
import type { Fence } from '../../../proto/gen/labrun/v1/common.ts';
import { EventsClient, type EventView } from '../../../proto/gen/labrun/v1/events.ts';
import {
  type AgentShellMessage,
  AgentShellsClient,
  type ShellInput,
  type ShellOutput,
  type ShellStart,
  ShellsClient,
} from '../../../proto/gen/labrun/v1/shell.ts';
import { aSelector } from '../../kit/head-world.ts';
import { LinkAgent } from '../../kit/link-agent.ts';
import { aSpec } from '../../kit/spec.ts';
import { submitAs } from '../../kit/submit-as.ts';
import { TlsHead } from '../../kit/tls-head.ts';
import { until } from '../../kit/until.ts';

// ada's job, in her closed namespace that carl shares, runs on n1, which bob owns. n2 and n3 have agents of earlier releases.
let folder = '';
let head: TlsHead;
const who = new Map<string, Endpoint>();
let agent: LinkAgent;
let old: LinkAgent;
let older: LinkAgent;
let fence: Fence | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'labrun-shells-'));
  head = await TlsHead.open(folder);
  for (const name of ['ada', 'bob', 'carl', 'eve']) who.set(name, (await head.user(name)).endpoint);
  who.set('root', (await head.user('root', true)).endpoint);
  const [one, two, three] = [await head.node('n1', 'bob'), await head.node('n2'), await head.node('n3')];
  who.set('n1', one.endpoint).set('n2', two.endpoint);
  const features = ['runtime.command', 'shell', 'shell.command'];
  agent = await new LinkAgent(one.endpoint, 'n1', 1, one.nodeId, [], features).connected();
  old = await new LinkAgent(two.endpoint, 'n2', 1, two.nodeId, [], []).connected();
  older = await new LinkAgent(three.endpoint, 'n3', 1, three.nodeId, [], ['shell']).connected();
  await submitAs(endpoint('ada'), aSpec({ namespace: 'ada', name: 'b' }));
  const access = openClient(AccessClient, endpoint('ada'), 'control');
  await call(access, access.shareNamespace, { namespace: 'ada', user: 'carl', shared: true });
  await call(access, access.setNamespace, { namespace: 'ada', readable: false });
  access.close();
  fence = (await agent.hear('assign')).fence;
  await agent.report(fence, AttemptPhase.RUNNING);
});
afterAll(async () => {
  agent.close();
  old.close();
  older.close();
  await head.close();
  await rm(folder, { recursive: true });
});

const inJob: ShellStart['where'] = { $case: 'job', value: aSelector({ namespace: 'ada', batch: 'b' }) };

it('is for who submitted the job and for the owner of its node; others do not even learn what there is', async () => {
  for (const name of ['ada', 'bob']) {
    const person = ask(name, inJob);
    const wanted = await agent.shell();
    const window = { size: { columns: 91, rows: 22 }, term: 'xterm' };
    expect(wanted).toMatchObject({ attempt: fence, ...window, user: name, argv: [] });
    person.leave();
  }
  await expect(ask('carl', inJob).over).rejects.toThrow('only who submitted it and the owner of its node may');
  await expect(ask('root', inJob).over).rejects.toThrow('only who submitted it and the owner of its node may');
  const closed = 'Cannot read in the namespace "ada": it is closed';
  await expect(ask('eve', inJob).over).rejects.toThrow(closed);
  const none = { $case: 'job' as const, value: aSelector({ namespace: 'ada', batch: 'none' }) };
  await expect(ask('eve', none).over).rejects.toThrow(closed);
  await expect(ask('ada', none).over).rejects.toThrow('Cannot find the batch');
  const onNode = { $case: 'node' as const, value: 'n1' };
  for (const name of ['ada', 'bob']) await expect(ask(name, onNode).over).rejects.toThrow('takes an admin');
  expect(agent.shells).toEqual([]);
});

it('hands on what either end says, and tells who had it, until when', async () => {
  const person = ask('ada', inJob);
  const { id } = await agent.shell();
  const node = attach('n1', id);
  node.say({ $case: 'started', value: true });
  node.say({ $case: 'data', value: Buffer.from('\x1b[1m$ ') });
  await until('it is open', () => person.heard.length === 2);
  person.say({ $case: 'data', value: Buffer.from('ls\r') });
  person.say({ $case: 'size', value: { columns: 1_000_000, rows: 0 } });
  await until('the node hears', () => node.heard.length === 2);
  expect(node.heard.map(({ input }) => input)).toEqual([
    { $case: 'data', value: Buffer.from('ls\r') },
    { $case: 'size', value: { columns: 2_000, rows: 24 } },
  ]);
  node.say({ $case: 'ended', value: { exitCode: 7, message: '' } });
  node.leave();
  await person.over;
  expect(person.heard.map(({ output }) => output)).toEqual([
    { $case: 'opened', value: { node: 'n1', job: 'ada/b/job', runsArgv: false } },
    { $case: 'data', value: Buffer.from('\x1b[1m$ ') },
    { $case: 'ended', value: { exitCode: 7, message: '' } },
  ]);
  const told = await until('its end is told', async () => {
    const mine = (await eventsOf('ada')).filter(({ facts }) => facts['shell'] === id);
    return mine.length === 2 && mine;
  });
  expect(told).toMatchObject([
    { kind: 'shell-opened', actor: { name: 'ada' }, node: 'n1', job: 'job', attempt: 1 },
    { kind: 'shell-closed', actor: { name: 'ada' }, message: expect.stringContaining('it ended with 7') },
  ]);
  expect((await eventsOf('eve')).filter(({ kind }) => kind.startsWith('shell-'))).toEqual([]);
});

it('ends for either end when the other has gone', async () => {
  const left = ask('ada', inJob);
  const { id } = await agent.shell();
  const first = attach('n1', id);
  first.say({ $case: 'started', value: true });
  await until('it is open', () => left.heard.length === 1);
  left.leave();
  await first.over;
  // Nothing was lost: somebody has left.
  await until('who left is told', async () =>
    (await eventsOf('ada')).some(
      ({ facts, message }) => facts['shell'] === id && message.includes('whoever had it has gone'),
    ),
  );
  const stays = ask('ada', inJob);
  const second = attach('n1', (await agent.shell()).id);
  second.say({ $case: 'started', value: true });
  await until('it is open', () => stays.heard.length === 1);
  second.leave();
  await stays.over;
  expect(stays.heard.at(-1)?.output).toMatchObject({
    $case: 'ended',
    value: { message: 'the connection to "n1" was lost' },
  });
});

it('lets no other node have it, and no node twice', async () => {
  const person = ask('ada', inJob);
  const { id } = await agent.shell();
  await expect(attach('n2', id).over).rejects.toThrow('nobody waits for it');
  const node = attach('n1', id);
  node.say({ $case: 'started', value: true });
  await until('it is open', () => person.heard.length === 1);
  await expect(attach('n1', id).over).rejects.toThrow('nobody waits for it');
  person.leave();
  await node.over;
});

it('takes no more at a time than a message may have', async () => {
  const person = ask('ada', inJob);
  const node = attach('n1', (await agent.shell()).id);
  node.say({ $case: 'started', value: true });
  await until('it is open', () => person.heard.length === 1);
  person.say({ $case: 'data', value: Buffer.alloc(65_537) });
  await expect(person.over).rejects.toThrow('has 65537 bytes, at most 65536 are taken');
  await node.over;
});

it('runs a command in place of a shell, where the node knows how to, and none that no node could run', async () => {
  const argv = ['sh', '-c', 'ls "$1"', 'sh', ''];
  const person = ask('ada', inJob, argv);
  const { id, argv: wanted } = await agent.shell();
  expect(wanted).toEqual(argv);
  const node = attach('n1', id);
  node.say({ $case: 'started', value: true });
  await until('it is open', () => person.heard.length === 1);
  expect(person.heard[0]?.output).toMatchObject({ value: { runsArgv: true } });
  person.leave();
  await node.over;
  const on = (name: string, words: readonly string[]) => ask('root', { $case: 'node', value: name }, words).over;
  await expect(on('n3', ['ls'])).rejects.toThrow('its labrun 0.1.0 runs nothing but a shell in them');
  await expect(on('n1', ['x'.repeat(16_384)])).rejects.toThrow('has 16385 bytes, at most 16384 are taken');
  for (const words of [[''], ['ls', 'a\0b']]) await expect(on('n1', words)).rejects.toThrow('names no program');
  expect(agent.shells).toEqual([]);
});

it('tells who forbids terminals on a node, as a refusal, and that somebody asked', async () => {
  const person = ask('ada', inJob);
  const { id } = await agent.shell();
  const node = attach('n1', id);
  node.say({ $case: 'forbidden', value: 'its admin forbids terminals' });
  await expect(person.over).rejects.toMatchObject({
    ...{ name: 'RefusedError', refusal: { code: 'denied' } },
    message: 'Cannot open a terminal on "n1": its admin forbids terminals',
  });
  await node.over;
  const told = await until('it is told', async () => {
    const mine = (await eventsOf('ada')).filter(({ facts }) => facts['shell'] === id);
    return mine.length === 2 && mine;
  });
  expect(told[1]?.message).toContain('its admin forbids terminals');
});

it('says why there is none: an agent that knows none, a node that is away, a job that does not run', async () => {
  const on = (value: string) => ask('root', { $case: 'node', value }).over;
  await expect(on('n2')).rejects.toThrow('its labrun 0.1.0 knows no terminals');
  await submitAs(endpoint('ada'), { ...aSpec({ namespace: 'ada', name: 'later' }) });
  const later = { $case: 'job' as const, value: aSelector({ namespace: 'ada', batch: 'later' }) };
  await expect(ask('ada', later).over).rejects.toThrow(/it is \w+, and there is a place to be only while it runs/);
  agent.close();
  await until('the head knows', async () => (await eventsOf('ada')).some(({ kind }) => kind === 'node-disconnected'));
  await expect(on('n1')).rejects.toThrow('its node is not connected now');
});

/** A person's end of a terminal. */
function ask(name: string, where: ShellStart['where'], argv: readonly string[] = []) {
  const client = openClient(ShellsClient, endpoint(name), 'control');
  onTestFinished(() => client.close());
  const stream = where?.$case === 'node' ? client.onNode() : client.inJob();
  const heard: ShellOutput[] = [];
  const say = (input: NonNullable<ShellInput['input']>) => void stream.write({ input });
  const over = gathered(readStream<ShellOutput>(stream), heard);
  say({ $case: 'start', value: { where, size: { columns: 91, rows: 22 }, term: 'bad term\n', argv: [...argv] } });
  return { heard, say, over, leave: () => stream.end() };
}

/** A node's end of one. */
function attach(name: string, id: string) {
  const client = openClient(AgentShellsClient, endpoint(name), 'control');
  onTestFinished(() => client.close());
  const stream = client.attach();
  const heard: ShellInput[] = [];
  const say = (message: NonNullable<AgentShellMessage['message']>) => void stream.write({ message });
  const over = gathered(readStream<ShellInput>(stream), heard);
  say({ $case: 'id', value: id });
  return { heard, say, over, leave: () => stream.end() };
}

/** Resolves when there is no more; who waits for it hears why it broke. */
function gathered<Message>(messages: AsyncIterable<Message>, heard: Message[]): Promise<void> {
  const over = (async () => {
    for await (const message of messages) heard.push(message);
  })();
  over.catch(() => undefined);
  return over;
}

async function eventsOf(name: string): Promise<EventView[]> {
  const client = openClient(EventsClient, endpoint(name), 'control');
  try {
    const events: EventView[] = [];
    for await (const page of readStream(client.subscribe({ since: 0n, follow: false }))) events.push(...page.events);
    return events;
  } finally {
    client.close();
  }
}

function endpoint(name: string): Endpoint {
  const found = who.get(name);
  if (!found) throw new Error(`${name} has not joined`);
  return found;
}
