import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import type { Fence } from '../../base/ids.ts';
import { hashBytes } from '../../base/transfer/hash.ts';
import type { BatchSpec } from '../../config/spec.ts';
import { writeSpec } from '../../config/spec-file.ts';
import type { HeadChange } from '../../proto/gen/labrun/v1/agent_link.ts';
import { aFence } from './attempts.ts';
import { aTestAgent } from './test-agent.ts';
import { TestHead } from './test-head.ts';

export type Change = NonNullable<HeadChange['change']>;

/** A head and agents of the test's own in a temporary folder, made anew for each test of the file that calls this. */
export function agentWorld() {
  const world = new AgentWorld();
  beforeEach(() => world.open());
  afterEach(() => world.close());
  return world;
}

class AgentWorld {
  folder = '';
  head = new TestHead('');
  readonly #agents: Awaited<ReturnType<typeof aTestAgent>>[] = [];

  async open() {
    this.folder = await mkdtemp(join(tmpdir(), 'labrun-agent-'));
    this.head = new TestHead(join(this.folder, 'head.sock'));
    await this.head.start();
  }

  async close() {
    for (const { agent } of this.#agents.splice(0)) await agent.close();
    await this.head.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** A path in the test's folder. */
  at(name: string): string {
    return join(this.folder, name);
  }

  async startAgent(cpus = 2, bootId = 'boot', begins = true) {
    const started = await aTestAgent(this.at('agent'), this.at('head.sock'), cpus, bootId, begins);
    this.#agents.push(started);
    return started;
  }

  /** Closes the agent, as a stop or an upgrade would; its jobs go on. */
  async stopAgent() {
    await this.#agents.pop()?.agent.close();
  }

  /** Puts a batch of one template on the head; answers how to assign its job. */
  aBatch(text: string, more: { timeLimitMs?: number; build?: string; needs?: string[]; features?: string[] } = {}) {
    const script = (run: string) => ({ kind: 'command' as const, run: { kind: 'script' as const, text: run } });
    const spec: BatchSpec = {
      format: 1,
      features: more.features ?? [],
      origin: 'labrun',
      namespace: 'lab',
      name: 'b',
      env: {},
      maxRunning: 0,
      sources: {},
      initialInputs: [],
      notify: [],
      ...(more.build === undefined
        ? {}
        : { build: { runtime: script(more.build), inputs: [], needs, timeLimitMs: 0 } }),
      groups: [
        {
          name: 'job',
          count: 1,
          needs: { ...needs, capabilities: (more.needs ?? []).map((name) => ({ name })) },
          runtime: script(text),
          inputs: [],
          templates: [],
          env: {},
          archive: [],
          expect: [],
          timeLimitMs: more.timeLimitMs ?? 0,
          retries: 0,
        },
      ],
    };
    const bytes = Buffer.from(writeSpec(spec));
    const specHash = hashBytes(bytes);
    this.head.blobs.set(specHash, bytes);
    return (fence: Partial<Fence> = {}, cpus = 1): Change => ({
      $case: 'assign',
      value: {
        fence: aFence(fence),
        namespace: 'lab',
        batch: 'b',
        specHash,
        specIndex: 0,
        granted: { cpus, memoryBytes: 0n, diskBytes: 0n, gpus: 0 },
        user: 'ada',
      },
    });
  }
}

const needs = { capabilities: [], cpus: 1, ranks: 0, threads: 0, memoryBytes: 0, diskBytes: 0, gpus: 0 };
