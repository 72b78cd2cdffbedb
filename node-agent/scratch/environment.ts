import type { Needs, Params } from '../../config/spec.ts';
import type { FoundCapability } from '../machine/capability.ts';

/** What the environment of a job or a build is built from. Nothing is inherited from the agent. */
export interface EnvironmentFacts {
  readonly namespace: string;
  readonly batch: string;
  /** Granted cores. */
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly needs: Needs;
  readonly userHome: string;
  readonly tmp: string;
  /** Of the batch and the job, in this order. */
  readonly declared: readonly Readonly<Record<string, string>>[];
  readonly capabilities: readonly FoundCapability[];
  /** A finished build; absent for none. */
  readonly build: string | undefined;
  /** Facts that only jobs have. */
  readonly job?: {
    readonly name: string;
    readonly index: number;
    readonly attempt: number;
    readonly params: Params;
    readonly archive: string;
    readonly input: string;
  };
}

/** Where programs are looked for, unless a capability or the batch says otherwise. */
export const standardPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * The whole environment. Later sources win: what every program expects, what capabilities set up, what the batch and
 * the job declare, and last labrun's own words, which nobody may change.
 */
export function buildEnvironment(facts: EnvironmentFacts): Record<string, string> {
  const { cpus, needs } = facts;
  const threads = needs.ranks > 0 ? Math.max(1, needs.threads) : cpus;
  const environment: Record<string, string> = {
    PATH: standardPath,
    LANG: 'C.UTF-8',
    HOME: facts.userHome,
    TMPDIR: facts.tmp,
    OMP_NUM_THREADS: String(threads),
  };
  for (const capability of facts.capabilities) Object.assign(environment, capability.env);
  for (const declared of facts.declared) Object.assign(environment, declared);
  return Object.assign(environment, labrunWords(facts));
}

function labrunWords(facts: EnvironmentFacts): Record<string, string> {
  const { job, needs } = facts;
  const words: Record<string, string> = {
    LABRUN_NAMESPACE: facts.namespace,
    LABRUN_BATCH: facts.batch,
    LABRUN_CPUS: String(facts.cpus),
    LABRUN_RANKS: String(needs.ranks > 0 ? needs.ranks : facts.cpus),
    LABRUN_MEMORY: String(facts.memoryBytes),
    LABRUN_GPUS: String(needs.gpus),
  };
  if (facts.build !== undefined) words['LABRUN_BUILD'] = facts.build;
  if (!job) return words;
  for (const [axis, value] of Object.entries(job.params)) words[parameterName(axis)] = value;
  return Object.assign(words, {
    LABRUN_JOB: job.name,
    LABRUN_INDEX: String(job.index),
    LABRUN_ATTEMPT: String(job.attempt),
    LABRUN_ARCHIVE: job.archive,
    LABRUN_INPUT: job.input,
  });
}

function parameterName(axis: string): string {
  return `LABRUN_PARAM_${axis.toUpperCase().replace(/[^A-Z0-9]/g, '_')}`;
}
