import { randomBytes } from 'node:crypto';
import { rmSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Metadata } from '@grpc/grpc-js';
import { openClient } from '../base/channel/client.ts';
import { callDeadlineMs } from '../base/channel/limits.ts';
import { readStream } from '../base/channel/streams.ts';
import { systemClock } from '../base/clock.ts';
import { Fault, isSystemError } from '../base/errors.ts';
import { DeskClient, type DeskState } from '../proto/gen/labrun/v1/desk.ts';
import { deskDenied } from './desk-denied.ts';

/** Which agent a command of the desk speaks to. */
export interface DeskCommandOptions {
  readonly data?: string;
  readonly json?: boolean;
}

/** This machine's agent, as commands use it. */
export interface Desk {
  readonly client: DeskClient;
  /** Proves who calls, for one call. */
  prove(): Metadata;
}

/** Where `agent install` puts the agent of a machine. */
const usualFolder = '/var/lib/labrun-agent';
const proofBytes = 16;

/**
 * Speaks with the agent of this machine. Rejects with a refusal that says what to do where there is none, or where the
 * caller may not open its socket.
 */
export async function withDesk<Result>(
  options: DeskCommandOptions,
  work: (desk: Desk) => Promise<Result>,
): Promise<Result> {
  const folder = resolve(options.data ?? process.env['LABRUN_DESK'] ?? usualFolder);
  const proofs = join(folder, 'desk', 'proofs');
  const made: string[] = [];
  const client = openClient<DeskClient>(DeskClient, { kind: 'unix', path: join(folder, 'desk', 'socket') }, 'control');
  try {
    return await work({
      client,
      prove() {
        const proof = randomBytes(proofBytes).toString('hex');
        prove(proofs, proof, folder);
        made.push(join(proofs, proof));
        const metadata = new Metadata();
        metadata.set('labrun-proof', proof);
        return metadata;
      },
    });
  } catch (error) {
    // An agent that stops cancels what it has begun.
    if (error instanceof Fault && (error.code === 'UNAVAILABLE' || error.code === 'CANCELLED')) throw awayAgent(folder);
    if (error instanceof Fault && error.code === 'DEADLINE_EXCEEDED') throw silentAgent(folder);
    throw error;
  } finally {
    client.close();
    // The agent takes a proof away when it has seen it; of a call that never arrived it is still there.
    for (const path of made) rmSync(path, { force: true });
  }
}

/** What runs on this machine now, and who is there. */
export async function deskState({ client, prove }: Desk, withinMs = callDeadlineMs): Promise<DeskState> {
  const deadline = systemClock.nowMs() + withinMs;
  for await (const state of readStream(client.watch({ follow: false }, prove(), { deadline }))) return state;
  throw new Fault('no-agent', 'Cannot read the state of this machine: its agent is stopping');
}

function prove(proofs: string, proof: string, folder: string): void {
  try {
    symlinkSync(proof, join(proofs, proof));
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) throw noAgent(folder);
    if (isSystemError(error, 'EACCES', 'EPERM')) throw deskDenied(folder);
    throw error;
  }
}

function noAgent(folder: string): Fault {
  return new Fault(
    'no-agent',
    `Cannot reach an agent on this machine: there is none in "${folder}"; say where its data is with --data or LABRUN_DESK. To keep your own jobs from starting wherever they are, use "labrun hold"`,
  );
}

function silentAgent(folder: string): Fault {
  return new Fault(
    'no-agent',
    `Cannot reach the agent in "${folder}": it is there and does not answer; the machine may have too much to do, or somebody has stopped the agent. Try again, or have its admin start it anew ("systemctl restart labrun-agent"): what it runs goes on`,
  );
}

function awayAgent(folder: string): Fault {
  return new Fault(
    'no-agent',
    `Cannot reach the agent in "${folder}": it has stopped, or is just starting, and what it runs goes on; try again in a few seconds, or have its admin start it ("systemctl start labrun-agent")`,
  );
}
