import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { delay, systemClock } from '../base/clock.ts';
import { Running } from '../test/kit/processes.ts';

/** An rsync daemon on the loopback that takes files into a folder. */
export class RsyncDaemon {
  readonly #folder: string;
  #daemon: Running | undefined;
  #port = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Resolves when it answers. */
  async start(): Promise<void> {
    mkdirSync(this.#target, { recursive: true });
    this.#port = await freePort();
    const config = join(this.#folder, 'rsyncd.conf');
    const owner = process.getuid?.() === 0 ? ['uid = 0', 'gid = 0'] : [];
    const module = ['[in]', `path = ${this.#target}`, 'read only = no'];
    writeFileSync(config, ['use chroot = no', ...owner, ...module, ''].join('\n'));
    const where = ['--address=127.0.0.1', `--port=${this.#port}`, `--config=${config}`];
    this.#daemon = new Running(['rsync', '--daemon', '--no-detach', ...where]);
    while (spawnSync('rsync', [this.#url]).status !== 0) {
      if (this.#daemon.ended) throw new Error(`rsync does not start: ${this.#daemon.lines.join(' ')}`);
      await delay(systemClock, 50);
    }
  }

  /** Seconds that `rsync -a` needs for a folder; what arrived is removed again. */
  time(folder: string): number {
    const beganMs = performance.now();
    const { status, stderr } = spawnSync('rsync', ['-a', `${folder}/`, `${this.#url}/in/`], { encoding: 'utf8' });
    const seconds = (performance.now() - beganMs) / 1000;
    if (status !== 0) throw new Error(`rsync failed: ${stderr}`);
    rmSync(this.#target, { recursive: true });
    mkdirSync(this.#target);
    return seconds;
  }

  async close(): Promise<void> {
    await this.#daemon?.stop();
  }

  get #target(): string {
    return join(this.#folder, 'in');
  }

  get #url(): string {
    return `rsync://127.0.0.1:${this.#port}`;
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
