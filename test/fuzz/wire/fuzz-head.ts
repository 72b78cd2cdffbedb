import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { messageOf } from '../../../base/errors.ts';
import { Chance } from '../chance.ts';
import { type FuzzResult, memoryMaxBytes } from '../readers.ts';
import { makePlan, mutatePlan, type Plan } from './plan.ts';
import { seedPlans } from './seeds.ts';
import { type Outcome, send } from './send.ts';
import { type MethodShape, readShapes, type Shapes } from './shapes.ts';
import { World } from './world.ts';

/** What fuzzing a head is given. */
export interface HeadFuzzOptions {
  /** The folder of the bundle. */
  readonly dist: string;
  readonly repository: string;
  readonly findings: string;
  readonly seed: number;
  readonly forMs: number;
}

/** Calls made at once; the coverage is looked at after them. */
const groupSize = 24;
/** Calls kept per method. */
const corpusMax = 200;
/** Longest that the head may take to answer an honest question, in milliseconds. */
const answerMaxMs = 1_000;
/** Worlds made anew after a head was lost. */
const lossesMax = 20;
/** What the head answers with where somebody has made a mistake in it. */
const defects: ReadonlySet<status> = new Set([status.INTERNAL, status.UNKNOWN, status.DATA_LOSS]);
/** Codes that need no refusal of ours: the caller's own doing, and gRPC's limits. */
const withoutRefusal: ReadonlySet<status> = new Set([
  ...[status.OK, status.CANCELLED, status.DEADLINE_EXCEEDED, status.RESOURCE_EXHAUSTED],
]);

/** Makes requests of every kind to every method of a real head, and looks at it after each group of them. */
export async function fuzzHead(options: HeadFuzzOptions): Promise<FuzzResult> {
  const fuzzing = new HeadFuzzing(options);
  await fuzzing.run(Date.now() + options.forMs);
  return fuzzing.result();
}

/** Makes one kept group of calls again. Answers with what it shows. */
export async function replayGroup(options: HeadFuzzOptions, group: readonly Plan[]): Promise<FuzzResult> {
  const fuzzing = new HeadFuzzing(options);
  await fuzzing.replay(group);
  return fuzzing.result();
}

class HeadFuzzing {
  readonly #options: HeadFuzzOptions;
  readonly #shapes: Shapes;
  readonly #chance: Chance;
  readonly #corpora = new Map<string, Plan[]>();
  readonly #told = new Set<string>();
  readonly #findings: string[] = [];
  readonly #codes = new Map<string, number>();
  #inputs = 0;
  #blocks = 0;
  #memoryMaxBytes = 0;

  constructor(options: HeadFuzzOptions) {
    this.#options = options;
    this.#shapes = readShapes(options.repository);
    this.#chance = new Chance(options.seed);
    for (const { path } of this.#shapes.methods) this.#corpora.set(path, []);
    for (const plan of seedPlans(this.#shapes)) this.#corpora.get(plan.path)?.push(plan);
  }

  result(): FuzzResult {
    const { length: methods } = this.#shapes.methods;
    const answers = [...this.#codes].sort((a, b) => b[1] - a[1]).map(([code, count]) => `${count} ${code}`);
    return {
      inputs: this.#inputs,
      blocks: this.#blocks,
      memoryMaxBytes: this.#memoryMaxBytes,
      findings: this.#findings,
      notes: [`${methods} methods, answers: ${answers.join(', ')}`],
    };
  }

  async run(untilMs: number): Promise<void> {
    for (let losses = 0; losses <= lossesMax && Date.now() < untilMs; losses++) {
      const world = await World.open(this.#options.dist);
      const lost = await this.#runIn(world, untilMs);
      if (lost) await world.abandon();
      else for (const wrong of await world.close()) this.#tell(wrong, []);
    }
  }

  async replay(group: readonly Plan[]): Promise<void> {
    const world = await World.open(this.#options.dist);
    if (await this.#group(world, group)) await world.abandon();
    else for (const wrong of await world.close()) this.#tell(wrong, group);
  }

  /** Answers whether the head was lost. */
  async #runIn(world: World, untilMs: number): Promise<boolean> {
    const seeds = [...this.#corpora.values()].flat();
    for (let at = 0; at < seeds.length; at += groupSize) {
      if (await this.#group(world, seeds.slice(at, at + groupSize))) return true;
    }
    for (;;) {
      for (const method of this.#shapes.methods) {
        if (Date.now() >= untilMs) return false;
        if (await this.#group(world, this.#plans(method))) return true;
      }
    }
  }

  /** Mostly calls of one method; the others keep it company. */
  #plans(method: MethodShape): Plan[] {
    return Array.from({ length: groupSize }, (_one, at) => {
      const called = at % 6 === 5 ? this.#chance.pick(this.#shapes.methods) : method;
      const corpus = this.#corpora.get(called.path) ?? [];
      if (corpus.length === 0 || this.#chance.below(4) === 0)
        return makePlan(this.#shapes, called, corpus, this.#chance);
      return mutatePlan(this.#shapes, called, this.#chance.pick(corpus), this.#chance);
    });
  }

  /** Makes the calls and looks at the head. Answers whether it was lost. */
  async #group(world: World, group: readonly Plan[]): Promise<boolean> {
    const outcomes = await Promise.all(group.map((plan) => this.#call(world, plan)));
    for (const [at, plan] of group.entries()) {
      // Who is removed is cut off in the midst of everything.
      if (outcomes[at]?.code === status.UNAVAILABLE && group.some(({ path }) => /\/Remove/.test(path))) continue;
      const wrong = problemOf(plan, outcomes[at]);
      if (wrong !== undefined) this.#tell(wrong, [plan]);
    }
    const trouble = await this.#look(world, group);
    for (const line of world.head.takeErrors()) this.#tell(`the head said: ${line}`, group);
    if (trouble !== undefined) this.#tell(`${trouble}\n${world.head.tail()}`, group, trouble);
    return trouble !== undefined;
  }

  async #call(world: World, plan: Plan): Promise<Outcome | undefined> {
    const method = this.#shapes.methods.find(({ path }) => path === plan.path);
    if (!method) throw new Error(`There is no method ${plan.path}`);
    this.#inputs += 1;
    // Those who were thrown out are let in by the head's own socket, which must not be slowed down.
    const isStranger = plan.path.endsWith('/Enrol') && (plan.caller === 'admin' || plan.caller === 'local-node');
    const { client, metadata } = world.guests.line(isStranger ? 'nobody' : plan.caller);
    const outcome = await send(client, metadata, method, plan, world.refs);
    const code = status[outcome.code];
    this.#codes.set(code, (this.#codes.get(code) ?? 0) + 1);
    return outcome;
  }

  /** What is wrong with the head itself; then this world is of no more use. */
  async #look(world: World, group: readonly Plan[]): Promise<string | undefined> {
    const { head } = world;
    try {
      let tookMs = await world.answerMs();
      // The machine is shared; a head that hangs does so twice.
      if (tookMs > answerMaxMs) tookMs = await world.answerMs();
      if (tookMs > answerMaxMs) this.#tell(`the head took ${Math.round(tookMs)} ms to answer`, group, 'slow');
      const covered = await head.coverage();
      if (covered) this.#blocks = Math.max(this.#blocks, covered.blocks);
      if (covered && covered.fresh > 0) this.#keep(group);
      const bytes = head.peakBytes();
      this.#memoryMaxBytes = Math.max(this.#memoryMaxBytes, bytes);
      if (bytes > memoryMaxBytes) return `the head had ${bytes} bytes of memory (at most ${memoryMaxBytes})`;
      await world.refresh();
      return head.ended ? 'the head has ended' : undefined;
    } catch (error) {
      return head.ended ? 'the head has ended' : `the head no longer serves: ${messageOf(error)}`;
    }
  }

  #keep(group: readonly Plan[]): void {
    for (const plan of group) {
      const corpus = this.#corpora.get(plan.path);
      corpus?.push(plan);
      if (corpus && corpus.length > corpusMax) corpus.splice(this.#chance.below(corpus.length), 1);
    }
  }

  #tell(what: string, group: readonly Plan[], kind = what): void {
    const key = kind
      .replace(/"[^"]*"/g, '""')
      .replace(/[0-9A-HJKMNP-TV-Z]{26}|\d+/g, '#')
      .slice(0, 300);
    if (this.#told.has(key)) return;
    this.#told.add(key);
    mkdirSync(this.#options.findings, { recursive: true });
    const file = join(this.#options.findings, `head-${this.#options.seed}-${this.#inputs}-${this.#told.size}.json`);
    writeFileSync(file, JSON.stringify(group, undefined, 1));
    this.#findings.push(`head: ${what.slice(0, 3_000)}\n    again: npm run fuzz -- --replay ${file}`);
  }
}

/** What is wrong with an answer, or nothing. */
function problemOf(plan: Plan, outcome: Outcome | undefined): string | undefined {
  if (!outcome) return undefined;
  const { code, details, refusal, tookMs } = outcome;
  const said = `${plan.path} answered ${status[code]} "${details.slice(0, 300)}"`;
  if (defects.has(code)) return said;
  if (!withoutRefusal.has(code) && refusal === '') return `${said}, which is no refusal`;
  if (code !== status.OK && refusal !== '' && details.length < 10) return `${said}, which says nothing`;
  if (code === status.DEADLINE_EXCEEDED && plan.deadlineMs >= 5_000)
    return `${plan.path} took ${Math.round(tookMs)} ms`;
  return undefined;
}
