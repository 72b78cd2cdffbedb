import { assert } from './assert.ts';

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** Random at `head init`; 26 characters of Crockford's base 32, like every id here. */
export type ClusterId = Branded<'ClusterId'>;
/** Made when a node first starts (later: the key made at join); its name is only a label. */
export type NodeId = Branded<'NodeId'>;
/** A ULID drawn by the submitter, never used again; also what makes a submit repeatable. */
export type BatchId = Branded<'BatchId'>;
/** `<batch id>.<index>.<attempt>`: an attempt within one cluster. Also its directory's name on a node. */
export type AttemptId = Branded<'AttemptId'>;

/** Names one attempt in the world. Every message about an attempt carries it. */
export interface Fence {
  readonly clusterId: ClusterId;
  readonly batchId: BatchId;
  /** The job's index in its batch, from 0. */
  readonly index: number;
  /** 1, 2, … per job. */
  readonly attempt: number;
}

/** Names a job in its cluster. */
export interface JobRef {
  readonly batchId: BatchId;
  readonly index: number;
}

const ulidForm = /^[0-9A-HJKMNP-TV-Z]{26}$/;
const attemptForm = /^([0-9A-HJKMNP-TV-Z]{26})\.(\d{1,7})\.(\d{1,7})$/;

/** The id, or nothing when the text is no ULID. */
export function asClusterId(text: string): ClusterId | undefined {
  return ulidForm.test(text) ? (text as ClusterId) : undefined; // the form has just been checked
}

/** The id, or nothing when the text is no ULID. */
export function asNodeId(text: string): NodeId | undefined {
  return ulidForm.test(text) ? (text as NodeId) : undefined; // the form has just been checked
}

/** The id, or nothing when the text is no ULID. */
export function asBatchId(text: string): BatchId | undefined {
  return ulidForm.test(text) ? (text as BatchId) : undefined; // the form has just been checked
}

/** The attempt's id within its cluster. */
export function attemptId(job: JobRef, attempt: number): AttemptId {
  return `${job.batchId}.${job.index}.${attempt}` as AttemptId; // built from parts that were checked
}

/** The parts of an attempt id, or nothing when the text is none. */
export function parseAttemptId(text: string): { batchId: BatchId; index: number; attempt: number } | undefined {
  const match = attemptForm.exec(text);
  const batchId = asBatchId(match?.[1] ?? '');
  if (!match || !batchId) return undefined;
  return { batchId, index: Number(match[2]), attempt: Number(match[3]) };
}

const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** A new ULID: 48 bits of `nowMs`, then 80 random bits (https://github.com/ulid/spec). */
export function ulid(nowMs: number, randomBytes: Uint8Array): string {
  assert(randomBytes.length >= 10, 'a ULID takes ten random bytes');
  let time = '';
  for (let rest = Math.floor(nowMs), place = 0; place < 10; place++, rest = Math.floor(rest / 32)) {
    time = alphabet.charAt(rest % 32) + time;
  }
  let bits = 0n;
  for (const byte of randomBytes.subarray(0, 10)) bits = (bits << 8n) | BigInt(byte);
  let chance = '';
  for (let place = 0; place < 16; place++, bits >>= 5n) chance = alphabet.charAt(Number(bits & 31n)) + chance;
  return time + chance;
}
