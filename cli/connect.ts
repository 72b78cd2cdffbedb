import { homedir, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { Client, type Metadata } from '@grpc/grpc-js';
import { formatAddress, readAddress } from '../base/channel/address.ts';
import { callerMetadata } from '../base/channel/caller.ts';
import { call, openClient } from '../base/channel/client.ts';
import type { Endpoint } from '../base/channel/credentials.ts';
import { Fault, messageOf, RefusedError } from '../base/errors.ts';
import { type Credentials, certificateOf, clientCredentials } from '../base/pki/credential-file.ts';
import { defaultHead, readCliSettings } from '../config/cli.ts';
import { AccessClient } from '../proto/gen/labrun/v1/access.ts';
import { ArchiveClient } from '../proto/gen/labrun/v1/archive.ts';
import { BatchesClient } from '../proto/gen/labrun/v1/batches.ts';
import { BlobsClient } from '../proto/gen/labrun/v1/blobs.ts';
import type { Selector } from '../proto/gen/labrun/v1/common.ts';
import { EventsClient } from '../proto/gen/labrun/v1/events.ts';
import { NodesClient } from '../proto/gen/labrun/v1/nodes.ts';
import { ShellsClient } from '../proto/gen/labrun/v1/shell.ts';
import { UpkeepClient } from '../proto/gen/labrun/v1/upkeep.ts';
import { exitCodeOf, exitCodes } from './exit.ts';
import { readLogin } from './login-folder.ts';
import { noHead } from './no-head.ts';
import { renewLogin } from './renew-login.ts';
import { writeNote } from './terminal.ts';

/** The head, as commands use it. Transfers have a connection of their own. */
export interface Head {
  readonly address: string;
  readonly user: string;
  readonly metadata: Metadata;
  readonly access: AccessClient;
  readonly batches: BatchesClient;
  readonly events: EventsClient;
  readonly nodes: NodesClient;
  readonly archive: ArchiveClient;
  readonly blobs: BlobsClient;
  readonly upkeep: UpkeepClient;
  readonly shells: ShellsClient;
}

/** Where the head is: `--data` or `--head`, else what the settings say, else where one has logged in. */
export interface HeadOptions {
  readonly head?: string | undefined;
  /** A head's data folder on this machine: its own socket is used. */
  readonly data?: string | undefined;
  /** Whether a certificate that ages is renewed before. Default: yes. */
  readonly renews?: boolean;
}

/** Runs `task` with the head and closes the connections after it. When nobody answers, the error says where and what to do. */
export async function withHead<T>(options: HeadOptions, task: (head: Head) => Promise<T>): Promise<T> {
  const login = await readLogin();
  const text =
    socketOf(options.data) ?? options.head ?? (await readCliSettings(process.env, homedir())).head ?? login?.head;
  const address = readAddress(text ?? defaultHead);
  if (address.kind === 'refused') throw new RefusedError(address);
  // Where nobody asks for a certificate, none is shown.
  const shown = address.kind === 'unix' ? undefined : login;
  const endpoint = shown ? { ...address, credentials: clientCredentials(shown) } : address;
  const head = open(endpoint, formatAddress(address), shown ? nameOf(shown) : osName());
  try {
    if (shown && options.renews !== false) await renew(shown, endpoint);
    return await task(head);
  } catch (error) {
    throw error instanceof Fault && exitCodeOf(error) === exitCodes.unreachable
      ? noHead(head.address, error, address.kind === 'tcp' && !shown)
      : error;
  } finally {
    for (const client of Object.values(head).filter((part) => part instanceof Client)) client.close();
  }
}

/** Who one is for the head: the name of the login, else the name at this machine. */
export async function callerName(): Promise<string> {
  const login = await readLogin();
  return login ? nameOf(login) : osName();
}

/** The name at this machine, with what no name may hold replaced by "-". */
function osName(): string {
  const name = osUser()
    .replace(/[^A-Za-z0-9._+=,@-]/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '');
  return name === '' ? 'nobody' : name.slice(0, 64);
}

/**
 * The selector, of those a text may mean, whose batch exists; one way to read it costs no question. When none exists,
 * the likeliest is the one that is said to be missing.
 */
export async function chooseSelector(head: Head, choices: readonly [Selector, ...Selector[]]): Promise<Selector> {
  if (choices.length === 1) return choices[0];
  let missing: unknown;
  for (const choice of choices) {
    try {
      await call(head.batches, head.batches.get, { selector: wholeBatch(choice) }, { metadata: head.metadata });
      return choice;
    } catch (error) {
      if (exitCodeOf(error) !== exitCodes.notFound) throw error;
      missing ??= error;
    }
  }
  throw missing;
}

/** The selector of the batch alone. */
export function wholeBatch(selector: Selector): Selector {
  return { ...selector, job: '', states: [], reasons: [], where: [] };
}

function open(address: Endpoint, text: string, user: string): Head {
  return {
    address: text,
    user,
    metadata: callerMetadata({ kind: 'user', name: user }),
    access: openClient<AccessClient>(AccessClient, address, 'control'),
    batches: openClient<BatchesClient>(BatchesClient, address, 'control'),
    events: openClient<EventsClient>(EventsClient, address, 'control'),
    nodes: openClient<NodesClient>(NodesClient, address, 'control'),
    archive: openClient<ArchiveClient>(ArchiveClient, address, 'bulk'),
    blobs: openClient<BlobsClient>(BlobsClient, address, 'bulk'),
    upkeep: openClient<UpkeepClient>(UpkeepClient, address, 'control'),
    shells: openClient<ShellsClient>(ShellsClient, address, 'control'),
  };
}

function socketOf(dataFolder: string | undefined): string | undefined {
  return dataFolder === undefined ? undefined : `unix:${join(resolve(dataFolder), 'head.sock')}`;
}

function nameOf(login: Credentials): string {
  const { subject } = certificateOf(login);
  return subject.kind === 'user' ? subject.name : '';
}

/** A certificate that is not renewed today is renewed tomorrow; what was asked for goes on. */
async function renew(login: Credentials, endpoint: Endpoint): Promise<void> {
  try {
    await renewLogin(login, endpoint);
  } catch (error) {
    writeNote(`The certificate was not renewed: ${messageOf(error)}`);
  }
}

function osUser(): string {
  try {
    return userInfo().username;
  } catch {
    return process.env['USER'] ?? ''; // an account without an entry, as in some containers
  }
}
