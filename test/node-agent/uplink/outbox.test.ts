import { describe, expect, it } from 'vitest';
import { Outbox } from '../../../node-agent/uplink/outbox.ts';
import type { AgentNews } from '../../../node-agent/wire.ts';

const news = (message: string): AgentNews => ({
  kind: 'build',
  report: { digest: 'd', state: 'ready', message, batchId: '' },
});
const told = (all: readonly AgentNews[]) => all.map((one) => (one.kind === 'build' ? one.report.message : one.kind));

describe('the outbox', () => {
  it('tells where a thing is when it is told, once for many changes', () => {
    const outbox = new Outbox();
    let state = 'first';
    outbox.note('a', () => news(state), 'now');
    outbox.note('b', () => news('other'), 'now');
    state = 'second';
    outbox.note('a', () => news(state), 'now');
    state = 'third';
    expect(told(outbox.take(10))).toEqual(['third', 'other']);
    expect(outbox.isEmpty).toBe(true);
  });

  it('takes no more than it is asked for, and leaves out what has become pointless', () => {
    const outbox = new Outbox();
    for (const key of ['a', 'b', 'c']) outbox.note(key, () => (key === 'b' ? undefined : news(key)), 'now');
    expect(told(outbox.take(1))).toEqual(['a']);
    expect(told(outbox.take(10))).toEqual(['c']);
  });

  it('holds passing news back until it has lasted, and drops it when it was overtaken', () => {
    const outbox = new Outbox();
    outbox.note('a', () => news('running'), 'passing');
    outbox.note('b', () => news('running too'), 'passing');
    expect(outbox.take(10)).toEqual([]);
    outbox.note('a', () => news('ended'), 'now');
    expect(told(outbox.take(10))).toEqual(['ended']);
    outbox.settle();
    expect(told(outbox.take(10))).toEqual(['running too']);
  });
});
