import { chmodSync, chownSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { idleNotify } from '../../../node-agent/presence/idle-notify.ts';
import { atOnceMs, Heard } from '../../kit/heard.ts';
import { capture, Running } from '../../kit/processes.ts';
import { itWith, plainUser } from '../../kit/real-parts.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { until } from '../../kit/until.ts';

itWith('sway')('a key typed under a compositor of wlroots is told at once', async () => {
  const runtime = scratchFolder();
  const user = plainUser(); // sway does not run as root
  if (user !== undefined) chownSync(runtime, user.uid, user.gid);
  chmodSync(runtime, 0o700);
  const headless = { WLR_BACKENDS: 'headless', WLR_LIBINPUT_NO_DEVICES: '1', WLR_RENDERER: 'pixman' };
  const env = { PATH: process.env['PATH'] ?? '', XDG_RUNTIME_DIR: runtime, HOME: runtime, ...headless };
  const sway = new Running(['sway', '--config', '/dev/null'], { env, user });
  onTestFinished(async () => void (await sway.stop()));
  const type = () => capture(['wtype', 'a'], { env: { ...env, WAYLAND_DISPLAY: 'wayland-1' }, user });
  await until('sway takes keys', async () => (await type()).code === 0);

  const heard = Heard.of(signalOn(join(runtime, 'wayland-1')));
  const { seen, atMs: idleAtMs } = await heard.kind('wayland', 'idle');
  expect(seen?.sees).toEqual(['session 1000/4']);
  expect(seen?.reading.kind === 'idle' && idleAtMs - seen.reading.lastActiveMs).toBeGreaterThanOrEqual(5_000);
  const since = heard.said.length;
  const beganMs = systemClock.sinceBootMs();
  expect(await type()).toMatchObject({ code: 0 });
  expect((await heard.kind('wayland', 'active', since)).atMs - beganMs).toBeLessThan(atOnceMs);
  await sway.stop();
  expect((await heard.kind('wayland', 'failed')).seen?.sees).toEqual([]);
});

// Debian's sway is older than this protocol: its messages are written down here as the protocol's text has them.
it('the newer protocol is preferred, asked for our seat, and believed', async () => {
  const compositor = await startCompositor(['wl_compositor', 'org_kde_kwin_idle', 'wl_seat', 'ext_idle_notifier_v1']);
  const heard = Heard.of(signalOn(compositor.path));
  await heard.kind('wayland', 'active');
  // Numbers of new objects: 4 for the seat, 5 for the notifier, 6 for what it makes: 5 s, of seat 4.
  await until('all requests are there', () => compositor.requests.length === 5);
  expect(compositor.requests.slice(2)).toEqual([
    [2, 0, 3, 8, ...text('wl_seat'), 1, 4],
    [2, 0, 4, 21, ...text('ext_idle_notifier_v1'), 1, 5],
    [5, 1, 6, 5_000, 4],
  ]);
  compositor.send(message(4, 0, [3])); // the seat tells what it has; not our concern
  compositor.send(message(6, 0, []));
  await heard.kind('wayland', 'idle');
  compositor.send(message(6, 1, []));
  await heard.kind('wayland', 'active', 2);
});

it('a compositor that tells nothing of its seat, or nonsense, settles nothing', async () => {
  const silent = await startCompositor(['wl_compositor', 'wl_seat']);
  const heard = Heard.of(signalOn(silent.path));
  expect((await heard.kind('wayland', 'absent')).seen?.sees).toEqual([]);
  silent.send(Buffer.from([1, 0, 0, 0, 0, 0, 2, 0]));
  expect((await heard.kind('wayland', 'failed')).seen?.reading).toMatchObject({
    why: expect.stringContaining('without a head'),
  });
});

function signalOn(socketPath: string) {
  return idleNotify({ clock: systemClock, socketPath, sees: ['session 1000/4'] });
}

/** A compositor that offers these interfaces and writes down what it is asked. */
async function startCompositor(interfaces: readonly string[]) {
  const path = join(scratchFolder(), 'wayland-0');
  const requests: number[][] = [];
  let client: Socket | undefined;
  const server = createServer((socket) => {
    client = socket;
    socket.on('error', () => undefined); // the signal under test is closed at any moment
    socket.on('data', (bytes) => {
      for (let at = 0; at < bytes.length; at += bytes.readUInt16LE(at + 6)) {
        const words = (bytes.readUInt16LE(at + 6) - 8) / 4;
        const args = Array.from({ length: words }, (_, n) => bytes.readUInt32LE(at + 8 + 4 * n));
        const request = [bytes.readUInt32LE(at), bytes.readUInt16LE(at + 4), ...args];
        requests.push(request);
        const isSync = request[0] === 1 && request[1] === 0;
        if (isSync) socket.write(Buffer.concat([...interfaces.map(offer), message(3, 0, [1])]));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => {
    client?.destroy();
    server.close();
  });
  return { path, requests, send: (bytes: Buffer) => void client?.write(bytes) };
}

/** An interface on offer; its number is its place, from 1 on. */
function offer(name: string, at: number): Buffer {
  return message(2, 0, [at + 1, name.length + 1, ...text(name), 1]);
}

/** A string with its closing zero, as words. */
function text(value: string): number[] {
  const bytes = Buffer.alloc(Math.ceil((value.length + 1) / 4) * 4);
  bytes.write(value);
  return Array.from({ length: bytes.length / 4 }, (_, n) => bytes.readUInt32LE(4 * n));
}

function message(object: number, opcode: number, words: readonly number[]): Buffer {
  const bytes = Buffer.alloc(8 + 4 * words.length);
  bytes.writeUInt32LE(object, 0);
  bytes.writeUInt16LE(opcode, 4);
  bytes.writeUInt16LE(bytes.length, 6);
  words.forEach((word, at) => {
    bytes.writeUInt32LE(word, 8 + 4 * at);
  });
  return bytes;
}
