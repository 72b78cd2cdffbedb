import { expect, it } from 'vitest';
import { advertised } from '../../head/advertised.ts';

it('names the machine where a head listens everywhere, else the address itself', () => {
  const tcp = (host: string) => advertised({ kind: 'tcp', host, port: 7420 }, 'storage');
  expect(['0.0.0.0', '::', '10.0.0.7', 'lab.example.org', 'fd00::7'].map(tcp)).toEqual([
    'storage:7420',
    'storage:7420',
    '10.0.0.7:7420',
    'lab.example.org:7420',
    '[fd00::7]:7420',
  ]);
  expect(advertised({ kind: 'unix', path: '/srv/labrun/head.sock' }, 'storage')).toBe('');
});
