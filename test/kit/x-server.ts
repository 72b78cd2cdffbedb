import { createServer } from 'node:net';
import { onTestFinished } from 'vitest';
import { capture, Running } from './processes.ts';

/** An X server without a screen, for one test. */
export interface XServer {
  readonly number: string;
  readonly socketPath: string;
  /** Uses its keyboard or pointer, as in `xdotool key a`. */
  use(...args: readonly string[]): Promise<void>;
  stop(): Promise<void>;
}

/** Starts Xvfb on a number that is free; with `authorityPath`, it lets in who has the cookie of that file. */
export async function startXServer(options: { readonly authorityPath?: string } = {}): Promise<XServer> {
  const access = options.authorityPath === undefined ? ['-ac'] : ['-auth', options.authorityPath];
  const number = await freeNumber();
  const server = new Running(['Xvfb', `:${number}`, '-displayfd', '2', '-screen', '0', '640x480x8', ...access]);
  const stop = async () => void (await server.stop());
  onTestFinished(stop);
  await server.line(new RegExp(`^${number}$`));
  return {
    number,
    socketPath: `/tmp/.X11-unix/X${number}`,
    async use(...args) {
      const env = { ...process.env, DISPLAY: `:${number}`, XAUTHORITY: options.authorityPath ?? '/dev/null' };
      const { code, stderr } = await capture(['xdotool', ...args], { env });
      if (code !== 0) throw new Error(`xdotool ${args.join(' ')} ended with ${code}: ${stderr}`);
    },
    stop,
  };
}

/** The kernel gives a port to nobody twice: its number is one that no other test uses for a display now. */
async function freeNumber(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('a port has a number');
  return String(address.port);
}

/** An entry of a file of X cookies; an empty number fits every display. */
export function authorityEntry(host: string, number: string, cookie = '0123456789abcdef'): Buffer {
  const text = (bytes: Buffer) => Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
  const parts = [host, number, 'MIT-MAGIC-COOKIE-1', cookie].map((part) => text(Buffer.from(part)));
  return Buffer.concat([Buffer.from([1, 0]), ...parts]);
}
