import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ownLab } from '../kit/lab.ts';

const refusal = 'another head is running on this data';
/** How a head is started on this data, listening elsewhere. */
const startOn = (data: string) => ['head', 'start', '--data', data, '--grpc', '127.0.0.1:0'];

it('refuses a second head on the same data while one serves, also one that was started over the lock of a killed one', async () => {
  const lab = await ownLab({ agents: {} });
  const data = lab.path('head');
  await lab.ok('submit', lab.jobFile('waits', { name: 'waits', namespace: 't', jobs: [{ name: 'j', run: 'true' }] }));

  const refused = async () => {
    const second = await lab.labrun(...startOn(data));
    expect(second.code).not.toBe(0);
    expect(second.stderr).toContain(refusal);
    expect(second.stdout).toBe('');
    // It has taken nothing from the one that serves, its own socket least of all.
    expect(await lab.json('status', 't/waits')).toMatchObject({ counts: { queued: 1 } });
    expect(await lab.json('token', 'list', '--data', data)).toEqual({ tokens: [] });
  };
  await refused();
  await lab.head.end('SIGKILL');
  expect(existsSync(lab.path('head', 'log', 'LOCK'))).toBe(true);
  await lab.startHead();
  await refused();
});

it('lets one of two heads serve that are started at the same moment', async () => {
  const lab = await ownLab({ agents: {} });
  await lab.head.end('SIGKILL');
  const both = [0, 1].map(() => lab.follow(...startOn(lab.path('head'))));
  const told = await Promise.all(both.map((head) => head.line(new RegExp(`listening on|${refusal}`))));
  expect(told.filter((line) => line.includes('listening on'))).toHaveLength(1);
});
