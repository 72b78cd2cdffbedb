import type { WeatherName } from './weather.ts';

/** A way to break labrun, as a change of one place in its source: a simulation that does not object checks nothing. */
export interface Mutant {
  readonly name: string;
  /** Under which it shows soonest. */
  readonly weather: WeatherName;
  readonly file: string;
  /** Must stand in the file once. */
  readonly from: string;
  readonly to: string;
}

export const mutants: readonly Mutant[] = [
  {
    name: 'the fence is off',
    weather: 'split',
    file: 'head/scheduler/decide-attempt.ts',
    from: 'const attempt = state.attempts.get(attemptId(ref, ref.attempt));\n  if (attempt && attempt.nodeId === nodeId) return attempt;',
    to: 'for (const attempt of state.attempts.values()) if (attempt.ref.batchId === ref.batchId && attempt.ref.index === ref.index) return attempt;',
  },
  {
    name: 'the head answers before its records are on the disk',
    weather: 'storm',
    file: 'head/engine.ts',
    from: 'if (records.length > 0) await this.#options.log.append(records);\n    for (const say of answers) say();',
    to: 'for (const say of answers) say();\n    if (records.length > 0) await this.#options.log.append(records);',
  },
  {
    name: 'scratch is wiped before the head has acknowledged',
    weather: 'storm',
    file: 'node-agent/attempts/step.ts',
    from: "{ kind: 'ended', startedAtMs: phase.startedAtMs, endedAtMs: phase.endedAtMs, ...event.finish },\n        save,\n        report,",
    to: "{ kind: 'ended', startedAtMs: phase.startedAtMs, endedAtMs: phase.endedAtMs, ...event.finish },\n        save,\n        report,\n        wipe,",
  },
  {
    name: 'the agent does not look at its lease',
    weather: 'split',
    file: 'node-agent/uplink/lease.ts',
    from: 'return this.#clock.sinceBootMs() < this.#untilMs;',
    to: 'return true;',
  },
  {
    name: 'a commit that is repeated is accepted again',
    weather: 'slow',
    file: 'head/scheduler/decide-attempt.ts',
    from: "if (batch && hasEnded(batch, ref)) return { kind: 'accepted', events: [] };\n  const attempt = current(state, command.nodeId, ref);\n  if (attempt.kind === 'refused') return attempt;",
    to: 'const attempt = { cancelling: false };',
  },
  {
    name: 'a lapsed attempt loses its job at once',
    weather: 'split',
    file: 'head/scheduler/decide-node.ts',
    from: "attempt.cancelling ? gaveUp(attempt) : { kind: 'attempt-lapsed', attempt: attempt.ref }",
    to: "{ kind: 'attempt-lost', attempt: attempt.ref, message: 'lapsed', requeued: true }",
  },
  {
    name: 'a recall is believed without an answer',
    weather: 'slow',
    file: 'head/scheduler/place.ts',
    from: "this.events.push({ kind: 'attempt-recalled', attempt: attempt.ref });",
    to: "this.events.push({ kind: 'attempt-returned', attempt: attempt.ref, reason: 'recalled', message: '' });",
  },
  {
    name: 'a tombstone is forgotten: an agent drops what it has wiped before it was told to',
    weather: 'lies',
    file: 'node-agent/attempts/step.ts',
    from: "return phase.kind === 'wiping' ? to(attempt, { kind: 'wiped' }, report) : same(attempt);",
    to: "return phase.kind === 'wiping' ? to(attempt, { kind: 'forgotten' }, { kind: 'drop' }) : same(attempt);",
  },
  {
    name: 'an agent forgets what it gave back before it was told to',
    weather: 'split',
    file: 'node-agent/attempts/step.ts',
    from: "if (attempt.phase.kind !== 'assigned') return tell(attempt);\n      return to(attempt, returnedUnstarted, save, report);",
    to: "if (attempt.phase.kind !== 'assigned') return tell(attempt);\n      return to(attempt, { kind: 'forgotten' }, { kind: 'drop' });",
  },
  {
    name: 'an attempt that lapsed stays open to others when its node is back',
    weather: 'split',
    file: 'head/dispatch/session.ts',
    from: "      case 'assigned':\n",
    to: '',
  },
  {
    name: 'the lease does not count the time that a machine is suspended',
    weather: 'split',
    file: 'node-agent/uplink/lease.ts',
    from: '    this.#clock = clock;',
    to: '    this.#clock = Object.create(clock, { sinceBootMs: { value: () => clock.monotonicMs() } });',
  },
  {
    name: 'results of a batch that the head does not know are discarded',
    weather: 'restored',
    file: 'head/dispatch/reconcile.ts',
    from: 'if (!ref || !batch || lastNumber(batch, ref.index) < ref.attempt) return undefined;',
    to: "if (!ref || !batch || lastNumber(batch, ref.index) < ref.attempt) return isOver ? 'forget' : 'discard';",
  },
  {
    name: 'a number that a node holds is given again',
    weather: 'lies',
    file: 'head/scheduler/decide-found.ts',
    from: "if (attempt.attempt > known) events.push({ kind: 'attempt-found', attempt, nodeId: node.nodeId });",
    to: '',
  },
  {
    name: 'the head goes back in time with its wall clock',
    weather: 'restored',
    file: 'head/engine.ts',
    from: 'this.#startMs = Math.max(options.clock.nowMs(), options.draft.atMs);',
    to: 'this.#startMs = options.clock.nowMs();',
  },
  {
    name: 'a result of a lost end keeps the place of the one that the log knows',
    weather: 'restored',
    file: 'head/archive/place-of-result.ts',
    from: "return there.attempt > lastGiven ? 'in place of a lost one' : 'earlier';",
    to: "return 'earlier';",
  },
];
