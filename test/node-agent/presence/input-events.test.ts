import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { hasActivity, peopleDevices } from '../../../node-agent/presence/input-devices.ts';
import { inputEvents } from '../../../node-agent/presence/input-events.ts';
import { atOnceMs, Heard } from '../../kit/heard.ts';
import { processesNaming } from '../../kit/proc.ts';
import { capture } from '../../kit/processes.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { until } from '../../kit/until.ts';

const key = 1;
const lamp = 17;

describe('keyboards and pointers', () => {
  it('are told of at once, again after a rest, and nothing of what was typed is kept', async () => {
    const device = await fifo();
    const heard = Heard.of(inputEvents({ clock: systemClock, paths: [device.path] }));
    await heard.kind('input', 'idle');
    const since = heard.said.length;
    const beganMs = systemClock.sinceBootMs();
    device.write(event(key, 30));
    const { atMs, seen } = await heard.kind('input', 'active', since);
    expect(atMs - beganMs).toBeLessThan(atOnceMs);
    expect(seen).toEqual({
      reading: { kind: 'active', sinceMs: expect.any(Number), detail: 'event0' },
      sees: ['seats'],
    });
    const { seen: idle } = await heard.kind('input', 'idle', since, 20_000);
    expect(idle?.reading.kind === 'idle' && Math.abs(idle.reading.lastActiveMs - atMs)).toBeLessThan(atOnceMs);
    device.write(event(key, 31));
    await heard.kind('input', 'active', heard.said.length);
  }, 40_000);

  it('may send more than anybody reads, and in pieces', async () => {
    const device = await fifo();
    const heard = Heard.of(inputEvents({ clock: systemClock, paths: [device.path] }));
    await heard.kind('input', 'idle');
    device.write(event(lamp, 0));
    const whole = Buffer.concat([event(lamp, 1), event(key, 30)]);
    device.write(whole.subarray(0, 30));
    device.write(whole.subarray(30));
    await heard.kind('input', 'active');
    const storm = Buffer.concat(Array.from({ length: 2_000 }, () => event(2, 1)));
    let written = 0;
    for (let n = 0; n < 20; n++) written += device.write(storm);
    expect(written, 'the kernel keeps what fits, and nobody takes more').toBeLessThan(20 * storm.length);
    expect(heard.said.filter(({ seen }) => seen?.reading.kind === 'active')).toHaveLength(1);
  });

  it('that nobody reads any more are told of as unseen, until they are read again', async () => {
    const device = await fifo();
    // Nobody waits for the next look of a minute.
    const hasty = { ...systemClock, setTimer: (ms: number, task: () => void) => systemClock.setTimer(ms / 100, task) };
    const heard = Heard.of(inputEvents({ clock: hasty, paths: [device.path] }));
    await heard.kind('input', 'idle');
    const since = heard.said.length;
    const [reader] = await until('it is read', () => {
      const readers = processesNaming(device.path).filter(({ command }) => command === `cat ${device.path}`);
      return readers.length === 1 && readers;
    });
    process.kill(reader?.pid ?? 0, 'SIGKILL');
    const { seen } = await heard.kind('input', 'failed', since);
    expect(seen).toMatchObject({ sees: [], reading: { why: expect.stringContaining(device.path) } });
    expect((await heard.kind('input', 'idle', since)).seen?.sees).toEqual(['seats']);
    device.write(event(key, 30));
    await heard.kind('input', 'active', since);
  });

  it('that are not there, or that this account may not read, are nothing to watch', async () => {
    const missing = join(scratchFolder(), 'event9');
    const heard = Heard.of(inputEvents({ clock: systemClock, paths: [missing] }));
    const { seen } = await heard.kind('input', 'absent');
    expect(seen).toMatchObject({ sees: [], reading: { why: expect.stringContaining('may not read') } });
    const none = Heard.of(inputEvents({ clock: systemClock, paths: [] }));
    expect((await none.kind('input', 'absent')).seen?.reading).toMatchObject({
      why: 'no keyboard or pointer is connected',
    });
  });

  it('are told from lids, jacks and joysticks by what the kernel does with them', () => {
    expect(peopleDevices(devices)).toEqual([
      { node: 'event3', label: 'AT Translated Set 2 keyboard' },
      { node: 'event5', label: 'Mouse "Pro"' },
    ]);
    expect(peopleDevices('')).toEqual([]);
  });

  it('act by keys and movement, never by lamps or the end of a group', () => {
    expect(hasActivity(Buffer.concat([event(0, 0), event(lamp, 1)])).acted).toBe(false);
    expect(hasActivity(Buffer.concat([event(0, 0), event(3, 1), Buffer.from('abc')]))).toEqual({
      acted: true,
      rest: Buffer.from('abc'),
    });
  });
});

const devices = `I: Bus=0019 Vendor=0000 Product=0005 Version=0000
N: Name="Lid Switch"
H: Handlers=event0
B: EV=21

I: Bus=0011 Vendor=0001 Product=0001 Version=ab41
N: Name="AT Translated Set 2 keyboard"
H: Handlers=sysrq kbd event3 leds
B: EV=120013

I: Bus=0003 Vendor=046d Product=c077 Version=0111
N: Name="Mouse "Pro""
H: Handlers=mouse0 event5
B: EV=17

I: Bus=0003 Vendor=054c Product=0268 Version=0111
N: Name="Joystick"
H: Handlers=js0 event7
B: EV=b
`;

/** An event as the kernel writes it on a machine of 64 bits. */
function event(kind: number, code: number): Buffer {
  const bytes = Buffer.alloc(24);
  bytes.writeUInt16LE(kind, 16);
  bytes.writeUInt16LE(code, 18);
  bytes.writeInt32LE(1, 20);
  return bytes;
}

/** A FIFO in place of a device; open at both ends, so that nobody waits and it never ends. */
async function fifo() {
  const path = join(scratchFolder(), 'event0');
  await capture(['mkfifo', path]);
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  onTestFinished(() => closeSync(fd));
  const write = (bytes: Buffer): number => {
    try {
      return writeSync(fd, bytes);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return 0;
      throw error;
    }
  };
  return { path, write };
}
