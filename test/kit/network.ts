import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Hosts of a test: network namespaces on a bridge in one more, so that nothing touches the machine's own network. */
export class Network {
  readonly hosts: readonly string[];
  readonly #mark: string;

  /** Makes a host for each name; each knows the others by their names. Only root can. */
  constructor(...hosts: string[]) {
    this.hosts = hosts;
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

  /** The cable is pulled: nobody is told, and nothing comes through. */
  cut(host: string): void {
    ip('-n', this.#space('switch'), 'link', 'set', this.#port(host), 'down');
  }

  /** Half of the line is dead: what comes to the host is dropped, or what it sends. */
  deafen(host: string): void {
    this.#filter(host, 'INPUT', '-j', 'DROP');
  }
  mute(host: string): void {
    this.#filter(host, 'OUTPUT', '-j', 'DROP');
  }

  /** Every connection of the host breaks, at both ends, with the next byte that is sent on it. */
  reset(host: string): void {
    for (const chain of ['INPUT', 'OUTPUT'])
      this.#filter(host, chain, '-p', 'tcp', '-j', 'REJECT', '--reject-with', 'tcp-reset');
  }

  /** So many of the packets that come to the host are lost, of 1. */
  lose(host: string, share: number): void {
    this.#filter(host, 'INPUT', '-m', 'statistic', '--mode', 'random', '--probability', String(share), '-j', 'DROP');
  }

  /** No more than so many bytes a second come from the host, nor to it. */
  slow(host: string, bytesPerS: number): void {
    const shape = ['root', 'tbf', 'rate', `${bytesPerS * 8}bit`, 'burst', '256kb', 'latency', '100ms'];
    for (const [space, device] of this.#ends(host))
      run(...this.on(space, 'tc', 'qdisc', 'replace', 'dev', device, ...shape));
  }

  /** The host's line is as new. */
  heal(host: string): void {
    ip('-n', this.#space('switch'), 'link', 'set', this.#port(host), 'up');
    run(...this.on(host, 'iptables', '-w', '-F'));
    for (const [space, device] of this.#ends(host)) {
      const made = this.on(space, 'tc', 'qdisc', 'show', 'dev', device);
      if (run(...made).includes('tbf')) run(...this.on(space, 'tc', 'qdisc', 'del', 'dev', device, 'root'));
    }
  }

  /** Bytes that have passed the host's end of the line so far. */
  passed(host: string): { readonly sentBytes: number; readonly receivedBytes: number } {
    const told = run('ip', '-s', '-j', '-n', this.#space(host), 'link', 'show', 'dev', this.#device(host));
    const [{ stats64 }] = JSON.parse(told);
    return { sentBytes: stats64.tx.bytes, receivedBytes: stats64.rx.bytes };
  }

  close(): void {
    for (const host of [...this.hosts, 'switch']) {
      ip('netns', 'del', this.#space(host));
      rmSync(this.#folder(host), { recursive: true, force: true });
    }
  }

  #add(host: string, at: number, names: string): void {
    const [space, near, far] = [this.#space(host), this.#device(host), this.#port(host)];
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

  #filter(host: string, chain: string, ...rule: string[]): void {
    const device = chain === 'INPUT' ? '-i' : '-o';
    run(...this.on(host, 'iptables', '-w', '-A', chain, device, this.#device(host), ...rule));
  }

  /** Both ends of a host's line: the namespace, and the device in it. */
  #ends(host: string): readonly (readonly [space: string, device: string])[] {
    return [
      [host, this.#device(host)],
      ['switch', this.#port(host)],
    ];
  }

  #device(host: string): string {
    return `v${this.hosts.indexOf(host)}`;
  }

  #port(host: string): string {
    return `p${this.hosts.indexOf(host)}`;
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
  run('ip', ...args);
}

function run(...argv: string[]): string {
  const [command = '', ...args] = argv;
  return execFileSync(command, args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
}
