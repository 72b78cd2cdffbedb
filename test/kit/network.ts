import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Hosts of a test: network namespaces on a bridge in one more, so that nothing touches the machine's own network. */
export class Network {
  readonly #hosts: readonly string[];
  readonly #mark: string;

  /** Makes a host for each name; each knows the others by their names. Only root can. */
  constructor(...hosts: string[]) {
    this.#hosts = hosts;
    this.#mark = `lr${process.pid}`;
    ip('netns', 'add', this.#space('switch'));
    ip('-n', this.#space('switch'), 'link', 'add', 'br0', 'type', 'bridge');
    ip('-n', this.#space('switch'), 'link', 'set', 'br0', 'up');
    const names = hosts.map((host, at) => `${addressOf(at)} ${host}`).join('\n');
    for (const [at, host] of hosts.entries()) this.#add(host, at, `127.0.0.1 localhost\n${names}\n`);
  }

  /** The command line that runs a program on a host. */
  on(host: string, ...argv: string[]): string[] {
    return ['ip', 'netns', 'exec', this.#space(host), ...argv];
  }

  /** The command line that writes everything that passes the switch into a file, until it is ended. */
  capture(file: string): string[] {
    return this.on('switch', 'tcpdump', '-i', 'br0', '-U', '-Z', 'root', '-w', file);
  }

  close(): void {
    for (const host of [...this.#hosts, 'switch']) {
      ip('netns', 'del', this.#space(host));
      rmSync(this.#folder(host), { recursive: true, force: true });
    }
  }

  #add(host: string, at: number, names: string): void {
    const [space, near, far] = [this.#space(host), `v${at}`, `p${at}`];
    // `ip netns exec` lays what is in this folder over /etc.
    mkdirSync(this.#folder(host), { recursive: true });
    writeFileSync(join(this.#folder(host), 'hosts'), names);
    ip('netns', 'add', space);
    ip('link', 'add', near, 'netns', space, 'type', 'veth', 'peer', 'name', far, 'netns', this.#space('switch'));
    ip('-n', this.#space('switch'), 'link', 'set', far, 'master', 'br0');
    ip('-n', this.#space('switch'), 'link', 'set', far, 'up');
    ip('-n', space, 'link', 'set', 'lo', 'up');
    ip('-n', space, 'addr', 'add', `${addressOf(at)}/24`, 'dev', near);
    ip('-n', space, 'link', 'set', near, 'up');
  }

  #space(host: string): string {
    return `${this.#mark}-${host}`;
  }

  #folder(host: string): string {
    return `/etc/netns/${this.#space(host)}`;
  }
}

function addressOf(at: number): string {
  return `10.77.0.${at + 1}`;
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
