import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { AttemptPhase, NodeYield } from '../../proto/gen/labrun/v1/agent_link.ts';
import { sharedLab } from '../kit/lab.ts';
import { LinkAgent } from '../kit/link-agent.ts';
import { until } from '../kit/until.ts';

const lab = sharedLab({ agents: {} });

it('tells who has paused a node and its job, and until when in the time zone of whoever asks', async () => {
  const path = lab().path('head.sock');
  const desk = await new LinkAgent({ kind: 'unix', path }, 'desk', 1).connected();
  onTestFinished(() => desk.close());
  const jobs = [{ name: 'j', needs: { cpus: 1 }, run: 'true' }];
  await lab().ok('submit', lab().jobFile('one', { name: 'one', namespace: 't', jobs }));
  const { fence } = await desk.hear('assign');
  const asked = { step: 'pause', cause: 'asked', by: 'ada', reason: 'presentation', endsInMs: 26n * 3_600_000n };
  await desk.tell({ $case: 'yield', value: NodeYield.fromPartial({ ...asked, condition: 'when ada says so' }) });
  await desk.report(fence, AttemptPhase.PAUSED);

  const node = (await lab().json('nodes')).nodes[0];
  expect(node).toMatchObject({
    yielding: 'pause',
    freezing: 'stop',
    yield: { by: 'ada', condition: 'when ada says so' },
  });
  const end = new Date(node.yield.until);
  const pad = (value: number) => String(value).padStart(2, '0');
  const day = `${end.getFullYear()}-${pad(end.getMonth() + 1)}-${pad(end.getDate())}`;
  const doing = `desk is paused by ada until ${day} ${pad(end.getHours())}:${pad(end.getMinutes())}: "presentation"`;
  const nodes = await lab().ok('nodes');
  expect(nodes).toMatch(/^desk +connected .* pause .* stop /m);
  expect(nodes).toContain(`${doing}; it is free for you when ada says so\n`);
  expect(await lab().ok('status', 't/one')).toMatch(new RegExp(`^j +paused +desk .*${doing}$`, 'm'));
  expect(await lab().ok('status', '--all')).toMatch(/ 1 \(1 paused\) /);
  expect(await lab().ok('why', 't/one/j')).toContain(`paused: Paused: ${doing}; it goes on by itself\n`);
  expect(await lab().ok('events')).toContain(`node-yielded  desk  ${doing.slice('desk '.length)}`);
  const [job] = (await lab().json('status', 't/one')).jobs;
  expect(job.message).toContain(node.yield.until);
  expect(Date.parse(job.pausedSince)).toBeGreaterThan(0);

  await desk.tell({ $case: 'yield', value: NodeYield.fromPartial({ step: 'pause', cause: 'asleep' }) });
  await desk.report(fence, AttemptPhase.RUNNING);
  desk.close();
  await until('it sleeps', async () => (await lab().json('nodes')).nodes[0].state === 'asleep');
  expect(await lab().ok('why', 't/one/j')).toContain('Paused: desk is asleep; it goes on by itself');
  expect((await lab().json('status', 't/one')).counts).toMatchObject({ paused: 1, running: 0 });
});

it('tells for how long a job was paused: to people, to scripts, and beside its results', async () => {
  const path = lab().path('head.sock');
  const desk = await new LinkAgent({ kind: 'unix', path }, 'ws2', 2).connected();
  onTestFinished(() => desk.close());
  const jobs = ['long', 'short'].map((name) => ({ name, needs: { cpus: 1 }, run: 'true' }));
  await lab().ok('submit', lab().jobFile('two', { name: 'two', namespace: 't', jobs }));
  const [long, short] = [await desk.hear('assign'), await desk.hear('assign')];
  await desk.endInline(long.fence, { x: '1' }, '', { pausedMs: 4_500_000n });
  await desk.endInline(short.fence, { x: '2' });
  await lab().ok('wait', 't/two');

  expect((await lab().json('status', 't/two')).jobs).toMatchObject([
    { name: 'long', attempt: 1, pausedMs: 4_500_000, pausedSince: null },
    { name: 'short', attempt: 1, pausedMs: 0, pausedSince: null },
  ]);
  expect(await lab().ok('status', 't/two')).toMatch(/^JOB .* TIME +PAUSED .*\nlong .* 1h15m /m);
  expect(await lab().ok('events', 't/two')).toContain('succeeded; it was paused for 1h15m');
  await lab().ok('pull', 't/two', '--to', lab().path('pulled'));
  const rows = readFileSync(lab().path('pulled/two/jobs.csv'), 'utf8').trimEnd().split('\n');
  expect(rows[0]).toBe('job,state,reason,exit_code,node,attempt,started_at,finished_at,paused_ms');
  expect(rows.slice(1).map((row) => row.split(',').at(-1))).toEqual(['4500000', '0']);
  const meta = readFileSync(join(lab().archive, 't/two/long/.labrun/meta.json'), 'utf8');
  expect(JSON.parse(meta)).toMatchObject({ attempt: 1, pausedMs: 4_500_000 });
});
