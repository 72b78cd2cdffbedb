import { type Refusal, refused } from '../errors.ts';

/** Where a service listens or is dialled. */
export type Address =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** Longest path of a Unix socket on Linux, in bytes (sun_path, without its closing NUL). */
const socketPathMaxBytes = 107;

/** Reads `host:port` or `unix:PATH`. */
export function readAddress(text: string): Address | Refusal {
  if (text.startsWith('unix:')) return readSocket(text.slice('unix:'.length));
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port <= 65_535)) {
    return refused('invalid', `Cannot use the address "${text}": write host:port or unix:PATH`);
  }
  return { kind: 'tcp', host, port };
}

/** Why nothing may be said there in plain text, or nothing: a Unix socket and the loopback do not leave the machine. */
export function plainProblem(address: Address): Refusal | undefined {
  if (address.kind === 'unix' || isLoopback(address.host)) return undefined;
  const text = formatAddress(address);
  return refused(
    'denied',
    `Cannot speak with ${text} in plain text: whoever shares the network could run programs; get a certificate with "labrun login ${text} --token T" (a person) or "labrun agent join ${text} --token T" (a workstation)`,
  );
}

/** The address as `readAddress` reads it. */
export function formatAddress(address: Address): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

function readSocket(path: string): Address | Refusal {
  if (!path.startsWith('/')) return refused('invalid', `Cannot use the socket "${path}": its path must be absolute`);
  if (Buffer.byteLength(path) > socketPathMaxBytes) {
    return refused('limit', `Cannot use the socket "${path}": its path has over ${socketPathMaxBytes} bytes`);
  }
  return { kind: 'unix', path };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}
