import { describe, expect, it } from 'vitest';
import { formatAddress, plainProblem, readAddress } from '../../../base/channel/address.ts';

describe('an address', () => {
  it('is a loopback host and port, or a Unix socket, and reads back as it was written', () => {
    for (const text of ['127.0.0.1:7420', 'localhost:0', '[::1]:7420', 'unix:/run/labrun.sock']) {
      const address = readAddress(text);
      if (address.kind === 'refused') throw new Error(address.message);
      expect(formatAddress(address)).toBe(text);
    }
  });

  it('of another machine is not for plain text, and the way on is told', () => {
    for (const text of ['0.0.0.0:7420', 'head.example.org:7420', '192.168.1.4:7420', '127.0.0.1.example.org:1']) {
      const address = readAddress(text);
      if (address.kind === 'refused') throw new Error(address.message);
      expect(plainProblem(address)?.message).toContain('labrun login');
    }
  });

  it('that is none says what to write', () => {
    for (const text of [
      '',
      '7420',
      'localhost:',
      'localhost:99999',
      'unix:relative.sock',
      `unix:/${'x'.repeat(120)}`,
    ]) {
      expect(readAddress(text)).toMatchObject({ kind: 'refused' });
    }
  });
});
