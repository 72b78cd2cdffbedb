import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { isAlive, readProcesses } from '../../../node-agent/executor/process-table.ts';
import { apptainerNode } from '../../../node-agent/runtimes/apptainer-node.ts';
import { standardPath } from '../../../node-agent/scratch/environment.ts';
import { aBatchSpec, aJobOrder } from '../../kit/a-job-order.ts';
import { aWorkspace, type WorkspaceKit } from '../../kit/a-workspace.ts';
import { itWith, realPart } from '../../kit/real-parts.ts';
import { scratchFolder } from '../../kit/scratch-folder.ts';
import { buildTinyImage } from '../../kit/tiny-image.ts';
import { until } from '../../kit/until.ts';

const folder = mkdtempSync(join(tmpdir(), 'labrun-apptainer-'));
const image = join(folder, 'tiny.sif');
beforeAll(() => {
  if (realPart('apptainer').available) buildTinyImage(image);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("distribute's container batches", () => {
  itWith('apptainer')('run the image with a save, an input and a fresh mount', async () => {
    const kit = await aWorkspace(scratchFolder());
    const order = aJobOrder(containerBatch(kit, ['/scratch-mount']), { cpus: 3 });
    const { end, collected } = await kit.run(order);
    const log = readFileSync(join(kit.workspace.homeOf(order.id), 'log'), 'utf8');
    expect(end, log).toMatchObject({ kind: 'exited', exitCode: 0 });
    expect(log).toContain('cores 3\n');
    const saved = collected.files.map(({ path, source }) => [path, readFileSync(source, 'utf8')]);
    expect(saved).toEqual([
      ['note', 'kept 7\n'],
      ['square.txt', 'the square is 49\n'],
    ]);
  });

  itWith('apptainer')('leave nothing alive when they are killed, and can be wiped', async () => {
    const kit = await aWorkspace(scratchFolder());
    const order = aJobOrder(containerBatch(kit, ['/scratch-mount'], { nap: '607' }));
    const request = await kit.workspace.prepare(order, undefined, new AbortController().signal);
    const running = await kit.executor.start(request);
    const log = join(request.home, 'log');
    await until(
      () => `the payload naps: ${readFileSync(log, 'utf8')}`,
      () => {
        return napsOf().length > 0 && readFileSync(log, 'utf8').includes('cores');
      },
    );
    const all = await kit.executor.processes(request.home);
    expect(all.length).toBeGreaterThan(1);
    await kit.executor.kill(request.home, 200);
    expect(all.filter(isAlive)).toEqual([]);
    expect(napsOf()).toEqual([]);
    expect((await running.ended).kind).not.toBe('lost');
    await kit.workspace.wipe(order.id);
    expect(await kit.workspace.list()).toEqual([]);
  });

  itWith('apptainer')(
    'see the folders of the attempt as home and for temporary files, not those of the machine',
    async () => {
      const kit = await aWorkspace(scratchFolder());
      const order = aJobOrder(containerBatch(kit, []));
      const request = await kit.workspace.prepare(order, undefined, new AbortController().signal);
      const inside = 'set -e; touch $TMPDIR/t $HOME/h $LABRUN_ARCHIVE/a /distribute_save/s; cd ~; pwd';
      const argv = request.argv
        .map((word) => (word === 'run' ? 'exec' : word))
        .filter((_, at, all) => {
          return all[at] !== '--app' && all[at - 1] !== '--app' && at < all.length - 1;
        });
      const running = await kit.executor.start({ ...request, argv: [...argv, '/bin/sh', '-c', inside] });
      const log = () => readFileSync(join(request.home, 'log'), 'utf8');
      expect(await running.ended, log()).toMatchObject({ exitCode: 0 });
      expect(log()).toContain(`${request.home}/home\n`);
      expect(
        ['tmp/t', 'home/h', 'archive/a', 'archive/s'].filter((path) => !existsSync(join(request.home, path))),
      ).toEqual([]);
    },
  );

  itWith('apptainer')('say clearly that an image lacks the app, and which it has', async () => {
    const node = apptainerNode(() => ({ PATH: standardPath, HOME: folder }));
    const signal = new AbortController().signal;
    await node.checkApp(image, 'distribute', [], signal);
    await expect(node.checkApp(image, 'solve', [], signal)).rejects.toMatchObject({
      code: 'invalid-image',
      message: expect.stringMatching(/no app "solve" \(it has distribute, fail\)/),
    });
  });

  itWith('apptainer')('say clearly that a file is no image', async () => {
    const kit = await aWorkspace(scratchFolder());
    const spec = containerBatch(kit, []);
    const broken = { ...spec, sources: { ...spec.sources, 'tiny.sif': [kit.blobs.file('no image at all')] } };
    const signal = new AbortController().signal;
    await expect(kit.workspace.prepare(aJobOrder(broken), undefined, signal)).rejects.toMatchObject({
      code: 'invalid-image',
    });
  });
});

function containerBatch(kit: WorkspaceKit, mounts: readonly string[], more: Record<string, string> = {}) {
  const names = ['input.txt', ...Object.keys(more)];
  return aBatchSpec(
    {
      runtime: { kind: 'apptainer', image: { source: 'tiny.sif', as: 'tiny.sif' }, mounts: [...mounts] },
      inputs: names.map((name) => ({ source: name, as: name })),
    },
    {
      origin: 'distribute',
      sources: {
        'tiny.sif': [kit.blobs.file(readFileSync(image))],
        'input.txt': [kit.blobs.file('7')],
        ...Object.fromEntries(Object.entries(more).map(([name, text]) => [name, [kit.blobs.file(text)]])),
      },
    },
  );
}

/** Processes that run `sleep 607`, as no other test does: the payload of the test. */
function napsOf(): readonly number[] {
  return readProcesses()
    .map(({ pid }) => pid)
    .filter((pid) => isAlive(pid) && commandLine(pid).includes('sleep\u0000607'));
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return ''; // it ended between the two looks
  }
}
