import { expect, it } from 'vitest';
import { openLog } from '../../base/log.ts';

it('writes one line of JSON a message, which no terminal obeys whatever the facts hold', () => {
  const lines: string[] = [];
  const log = openLog('agent', 'info', (line) => lines.push(line));
  const evil = 'a\n\x1b[2J\x9b2J\x7f\u202e';
  log.warn({ path: evil }, `cannot use ${evil}`);
  log.debug({}, 'not asked for');
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/^[\x20-\x7e]+\n$/);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ service: 'agent', path: evil, msg: `cannot use ${evil}` });
});
