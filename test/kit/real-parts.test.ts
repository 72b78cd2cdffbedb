import { describe, expect, it } from 'vitest';
import { type PartName, realPart } from './real-parts.ts';

const required = (process.env['LABRUN_REQUIRE'] ?? '').split(',').filter((name) => name !== '');

describe('the real parts that tests use', () => {
  it.each(required)('has a working %s, as LABRUN_REQUIRE asks', (name) => {
    expect(realPart(name as PartName)).toMatchObject({ available: true }); // an unknown name fails in the probe
  });

  it('says in words why a part cannot be used', () => {
    for (const name of ['perl', 'rsync'] as const) expect(realPart(name).why).not.toBe('');
  });
});
