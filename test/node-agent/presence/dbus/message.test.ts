import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { messageLength, readMessage, writeCall } from '../../../../node-agent/presence/dbus/message.ts';
import { DBusReader, writeValues } from '../../../../node-agent/presence/dbus/values.ts';

const call = {
  destination: 'org.freedesktop.login1',
  path: '/org/freedesktop/login1',
  interface: 'org.freedesktop.login1.Manager',
  member: 'ListInhibitors',
};

describe('a message of the bus', () => {
  it('is read as it was written, whatever its words and arguments', () => {
    const word = fc.stringMatching(/^[a-zA-Z.]{1,40}$/);
    const args = fc.array(
      fc.oneof(
        fc.string().map((value) => ['s', value.replaceAll('\0', '')] as const),
        fc.nat().map((value) => ['u', value] as const),
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value) => ['t', value] as const),
      ),
    );
    fc.assert(
      fc.property(word, args, (member, list) => {
        const signature = list.map(([type]) => type).join('');
        const values = list.map(([, value]) => value);
        const bytes = writeCall(7, { ...call, member, signature, args: values });
        expect(messageLength(bytes)).toBe(bytes.length);
        const message = readMessage(bytes);
        expect(message).toMatchObject({ kind: 'call', member, path: call.path, interface: call.interface });
        expect(message.body()).toEqual(
          values.map((value) => (typeof value === 'string' ? Buffer.from(value).toString() : value)),
        );
      }),
    );
  });

  it('carries empty arrays in their place, whatever comes after them', () => {
    const bytes = writeValues('asa{sv}i', [[], [], -1]);
    expect(new DBusReader(bytes).values('asa{sv}i')).toEqual([[], new Map(), -1]);
    const after = writeValues('sa{sv}s', ['abc', [], 'd']);
    expect(new DBusReader(after).values('sa{sv}s')).toEqual(['abc', new Map(), 'd']);
  });

  it('holds lists, structures, dictionaries and variants', () => {
    // a{sv} with one entry, "n" => <uint32 5>, then (so)
    const entry = Buffer.concat([
      writeValues('s', ['n']),
      Buffer.from([1]),
      Buffer.from('u\0'),
      Buffer.alloc(3),
      writeValues('u', [5]),
    ]);
    const head = Buffer.concat([writeValues('u', [entry.length]), Buffer.alloc(4), entry]);
    const padded = Buffer.concat([head, Buffer.alloc((8 - (head.length % 8)) % 8)]);
    const bytes = Buffer.concat([padded, writeValues('so', ['c7', '/a'])]);
    expect(new DBusReader(bytes).values('a{sv}(so)')).toEqual([new Map([['n', 5]]), ['c7', '/a']]);
  });

  it('of nonsense is refused or read, and reading always ends', () => {
    const types = fc.stringMatching(/^[ybnqiuxtdsogav(){}]{0,12}$/);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), types, (bytes, signature) => {
        for (const read of [
          () => new DBusReader(Buffer.from(bytes)).values(signature),
          () => readMessage(Buffer.from(bytes)).body(),
        ]) {
          try {
            read();
          } catch (error) {
            expect(error).toBeInstanceOf(Error);
            expect(error).not.toBeInstanceOf(TypeError);
          }
        }
      }),
      { numRuns: 2_000 },
    );
    const empty = Buffer.concat([writeValues('u', [64]), Buffer.alloc(100)]);
    expect(() => new DBusReader(empty).values('a()')).toThrow('without bytes');
    expect(() => new DBusReader(Buffer.alloc(100)).values(`${'('.repeat(40)}y${')'.repeat(40)}`)).toThrow('too deep');
    expect(() => messageLength(Buffer.from('B'.repeat(16)))).toThrow('byte order');
  });
});
