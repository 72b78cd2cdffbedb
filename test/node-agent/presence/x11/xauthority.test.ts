import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findCookie } from '../../../../node-agent/presence/x11/xauthority.ts';

const cookie = 'MIT-MAGIC-COOKIE-1';

describe('a file of cookies', () => {
  it('gives that of this host before that of another, and of this display alone', () => {
    const file = Buffer.concat([
      entry(256, 'other', '0', cookie, 'theirs'),
      entry(256, 'here', '1', cookie, 'display 1'),
      entry(256, 'here', '0', 'XDM-AUTHORIZATION-1', 'another kind'),
      entry(256, 'here', '0', cookie, 'ours'),
    ]);
    expect(`${findCookie(file, '0', 'here')?.data}`).toBe('ours');
    expect(`${findCookie(file, '1', 'here')?.data}`).toBe('display 1');
    expect(findCookie(file, '2', 'here')).toBeUndefined();
    // A home on many hosts, or a host that was renamed: there is no better one.
    expect(`${findCookie(file, '0', 'elsewhere')?.data}`).toBe('theirs');
    expect(`${findCookie(entry(65_535, '', '', cookie, 'any'), '9', 'here')?.data}`).toBe('any');
    expect(findCookie(entry(0, '\u0001\u0002\u0003\u0004', '0', cookie, 'by network'), '0', 'here')).toBeUndefined();
  });

  it('that is cut off or nonsense is read as far as it goes', () => {
    const file = Buffer.concat([entry(256, 'here', '0', cookie, 'ours'), entry(256, 'here', '1', cookie, 'cut')]);
    expect(findCookie(file.subarray(0, file.length - 1), '1', 'here')).toBeUndefined();
    expect(`${findCookie(file.subarray(0, file.length - 1), '0', 'here')?.data}`).toBe('ours');
    fc.assert(fc.property(fc.uint8Array(), (bytes) => findCookie(Buffer.from(bytes), '0', 'here') === undefined));
  });
});

function entry(family: number, ...texts: readonly string[]): Buffer {
  const words = texts.map((text) => Buffer.concat([Buffer.from([0, text.length]), Buffer.from(text)]));
  return Buffer.concat([Buffer.from([family >> 8, family & 255]), ...words]);
}
