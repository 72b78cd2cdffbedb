import { writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { displays } from '../../../node-agent/presence/displays.ts';
import { type Seen, seen } from '../../../node-agent/presence/signal.ts';
import { x11Display } from '../../../node-agent/presence/x11.ts';
import { atOnceMs, Heard } from '../../kit/heard.ts';
import { itWith } from '../../kit/real-parts.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { until } from '../../kit/until.ts';
import { authorityEntry, startXServer, type XServer } from '../../kit/x-server.ts';

itWith('x11')(
  'a key, a click and a movement are told at once, each after the display was idle',
  async () => {
    const uses = [
      ['key', 'a'],
      ['click', '1'],
      ['mousemove_relative', '5', '5'],
    ];
    await Promise.all(uses.map(usedInTime));
  },
  60_000,
);

itWith('x11')('a server that goes away is told', async () => {
  const server = await startXServer();
  const heard = Heard.of(display(server));
  await heard.kind(`x11 :${server.number}`, 'active');
  await server.stop();
  const { seen: told } = await heard.kind(`x11 :${server.number}`, 'failed');
  expect(told?.sees).toEqual([]);
});

itWith('x11')('the cookie of this display opens it, also among others; without it the display is unseen', async () => {
  const authorityPath = join(scratchFolder(), 'authority');
  writeFileSync(
    authorityPath,
    Buffer.concat([authorityEntry('elsewhere', '1', 'another'), authorityEntry(hostname(), '')]),
  );
  const server = await startXServer({ authorityPath });
  const heard = Heard.of(display(server, authorityPath));
  await heard.kind(`x11 :${server.number}`, 'active');
  const shut = Heard.of(display(server));
  const { seen: told } = await shut.kind(`x11 :${server.number}`, 'failed');
  expect(told?.reading).toMatchObject({ why: expect.stringMatching(/does not let this account in: .*uthoriz/) });
});

itWith('x11')('displays are found as they come and forgotten as they go, and a job’s own is nobody’s', async () => {
  const authorityPath = join(scratchFolder(), 'authority');
  writeFileSync(authorityPath, authorityEntry(hostname(), ''));
  const folder = '/tmp/.X11-unix';
  const where = { clock: systemClock, folder, authorityPath: undefined, host: hostname() };
  const uid = process.getuid?.() ?? 0;
  const first = await startXServer({ authorityPath });
  const heard = Heard.of(displays({ ...where, uid: uid + 1, jobUids: [] }));
  const jobs = Heard.of(displays({ ...where, uid: uid + 1, jobUids: [uid] }));
  await jobs.kind('displays', 'absent');
  const unseen = (server: XServer) => `x11 :${server.number}`;
  await heard.kind(unseen(first), 'unknown');
  const second = await startXServer({ authorityPath });
  const why = expect.stringContaining('does not let this account in');
  await until('the server refuses', () => {
    const now = heard.now(unseen(second));
    return now?.kind === 'unknown' && now.why.includes('has not answered') ? undefined : now;
  });
  expect(heard.now(unseen(second))).toMatchObject({
    kind: 'unknown',
    why,
    places: [`display ${uid}/:${second.number}`, 'displays'],
  });
  await second.stop();
  await heard.kind(unseen(second), 'gone');
  expect(jobs.said.map(({ source }) => source)).not.toContain(unseen(first));
});

async function usedInTime(use: readonly string[]): Promise<void> {
  const server = await startXServer();
  const source = `x11 :${server.number}`;
  const heard = Heard.of(display(server));
  const { seen: idle, atMs: idleAtMs } = await heard.kind(source, 'idle');
  // It tells when the display was used last, not when that was noticed; a server that starts counts as used.
  const lastMs = idle?.reading.kind === 'idle' ? idle.reading.lastActiveMs : Number.NaN;
  expect(idleAtMs - lastMs).toBeGreaterThanOrEqual(5_000);
  expect(idleAtMs - lastMs).toBeLessThan(40_000);
  const since = heard.said.length;
  const beganMs = systemClock.sinceBootMs();
  await server.use(...use);
  const { atMs, seen: told } = await heard.kind(source, 'active', since);
  expect(atMs - beganMs, use.join(' ')).toBeLessThan(atOnceMs);
  expect(told?.sees).toEqual(['session 1000/1']);
}

function display(server: XServer, authorityPath?: string) {
  const { number, socketPath } = server;
  const unreadable = (why: string): Seen => seen({ kind: 'failed', why });
  const where = { number, socketPath, authorityPath, host: hostname() };
  return x11Display({ clock: systemClock, ...where, sees: ['session 1000/1'], unreadable });
}
