import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { type Quotas, quotaOf } from '../config/quotas.ts';
import { formatBytes } from '../config/units.ts';
import { ArchiveUsage } from './archive/archive-usage.ts';
import { InputUsage } from './archive/input-usage.ts';
import type { ArchiveLayout } from './archive/layout.ts';
import { StagingUsage } from './archive/staging-usage.ts';
import type { HeadEngine } from './ports.ts';

/** What namespaces have used of their quotas. */
export interface Usage {
  readonly archive: ArchiveUsage;
  readonly staging: StagingUsage;
  readonly inputs: InputUsage;
}

/** One quota of a namespace, in bytes; `bytes` is missing while it is being counted. */
export interface QuotaUse {
  readonly kind: 'archive' | 'staging' | 'inputs';
  readonly bytes: number | undefined;
  readonly quota: number;
}

/** What measuring needs. */
export interface UsagePorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly layout: ArchiveLayout;
  readonly engine: Pick<HeadEngine, 'query' | 'submit'>;
}

/** Ways to measure what namespaces use, with these quotas. */
export function openUsage(quotas: Quotas, { clock, log, layout, engine }: UsagePorts): Usage {
  const archive = new ArchiveUsage({
    clock,
    log,
    namespaces: () => engine.query(({ access }) => [...access.namespaces.values()].map(({ name }) => name)),
    folderOf: (namespace) => layout.namespaceFolder(namespace),
    quotaOf: (namespace) => quotaOf(quotas, namespace).archiveBytes,
    async tell(namespace, full) {
      await engine.submit({ kind: 'system', name: 'head' }, { kind: 'fill-namespace', namespace, full });
    },
  });
  return {
    archive,
    staging: new StagingUsage((namespace) => quotaOf(quotas, namespace).stagingBytes),
    inputs: new InputUsage((namespace) => quotaOf(quotas, namespace).inputsBytes),
  };
}

/** The share of a quota from which people are warned. */
const warnFrom = 0.9;

/** What a namespace has used of each quota that it has. */
export function usesOf(usage: Usage, namespace: string): QuotaUse[] {
  const kinds = ['archive', 'staging', 'inputs'] as const;
  return kinds.flatMap((kind) => {
    const used = usage[kind].used(namespace);
    return used ? [{ kind, ...used }] : [];
  });
}

/** A sentence for each quota of a namespace that is nearly used up. */
export function usageWarnings(usage: Usage, namespace: string): string[] {
  return usesOf(usage, namespace).flatMap(({ kind, bytes, quota }) =>
    bytes !== undefined && kind !== 'staging' && bytes >= warnFrom * quota
      ? [`the namespace "${namespace}" has used ${formatBytes(bytes)} of its ${formatBytes(quota)} ${places[kind]}`]
      : [],
  );
}

const places = { archive: 'in the archive', inputs: 'of input files' } as const;
