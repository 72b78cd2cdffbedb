import { expect, it, vi } from 'vitest';
import { systemClock } from '../../../base/clock.ts';
import { type Deferred, deferred } from '../../../base/deferred.ts';
import { openLog } from '../../../base/log.ts';
import { Builds } from '../../../node-agent/effects/builds.ts';
import type { BuildFolders } from '../../../node-agent/ports.ts';
import { aBatchSpec, aJobOrder } from '../../kit/a-job-order.ts';
import { aLimit } from '../../kit/an-executor.ts';
import { idleExecutor } from '../../kit/idle-executor.ts';

const never = new AbortController().signal;

/** A job of a batch whose build has this key. */
function located(key: string) {
  const order = aJobOrder(aBatchSpec({}, { name: key }));
  return { order, buildDigest: `digest of ${key}`, timeLimitMs: 0, capabilities: [] };
}

/**
 * Builds that end at once, with these statuses and then well, on a disk with room for none but those in use. `removing`: what is being
 * removed, until it is resolved; `sent`: when their logs have been sent.
 */
function someBuilds({ statuses = [0], sent = Promise.resolve() } = {}) {
  const made: string[] = [];
  const finished = new Set<string>();
  const removing = new Map<string, Deferred<void>>();
  const folders: BuildFolders = {
    keyOf: (spec) => spec.name,
    find: async (key) => (finished.has(key) ? { folder: key } : undefined),
    homeOf: (key) => key,
    async prepare({ key }) {
      made.push(key);
      return { home: key, id: key, argv: [], cwd: '/', env: {}, limits: aLimit() };
    },
    async finish({ key }) {
      finished.add(key);
      return { folder: key };
    },
    async remove(key) {
      const isGone = deferred<void>();
      removing.set(key, isGone);
      await isGone.promise;
      finished.delete(key);
    },
    list: async () =>
      [...finished].map((key) => ({ key, digest: `digest of ${key}`, finished: true, usedAtMs: 0, sizeBytes: 1 })),
  };
  const builds = new Builds({
    ...{ clock: systemClock, log: openLog('agent', 'silent'), folders, closing: never, killGraceMs: 1, limitBytes: 0 },
    executor: {
      ...idleExecutor,
      start: async () => {
        const exitCode = statuses[made.length - 1] ?? 0;
        return { startedAtMs: 1, ended: Promise.resolve({ kind: 'exited', exitCode, ranMs: 1 }) };
      },
    },
    disk: { watch: () => ({ close: () => undefined }), explain: async (_home, _limit, end) => end },
    openLog: () => ({ abandon: async () => undefined, complete: () => sent }),
    treesChanged: () => undefined,
    lastLine: async () => '',
    report: () => undefined,
  });
  const want = (job: ReturnType<typeof located>) => builds.ensure(job, 'a batch', never, () => undefined);
  return { builds, made, removing, want };
}

it('a build that is being removed is made again for whoever wants it just then', async () => {
  const { builds, made, removing, want } = someBuilds();
  const first = located('old');
  await want(first);
  builds.release(first.order.id);
  await want(located('new')); // for which the old one has to go
  await vi.waitFor(() => expect(removing.has('old')).toBe(true));
  let isThere = false;
  const again = want(located('old')).then(() => {
    isThere = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(isThere).toBe(false);
  removing.get('old')?.resolve();
  await again;
  expect(made).toEqual(['old', 'new', 'old']);
});

it('a build that failed is made anew for whoever retries it before its log was sent and its folder is gone', async () => {
  const sent = deferred<void>();
  const { builds, made, removing, want } = someBuilds({ statuses: [2], sent: sent.promise });
  await expect(want(located('key'))).rejects.toMatchObject({ code: 'build-failed' });
  builds.retry('digest of key');
  const again = want(located('key'));
  sent.resolve();
  await vi.waitFor(() => expect(removing.has('key')).toBe(true));
  expect(made).toEqual(['key']);
  removing.get('key')?.resolve();
  expect(await again).toEqual({ folder: 'key' });
  expect(made).toEqual(['key', 'key']);
});
