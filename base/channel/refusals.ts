import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { cutOff, Fault, messageOf, type Refusal, type RefusalCode, RefusedError, refused } from '../errors.ts';
import { strangerCode, tlsTrouble } from './tls-trouble.ts';

/** The metadata key under which a refusal's own code travels. */
const codeKey = 'labrun-code';

const statusOf: Readonly<Record<RefusalCode, status>> = {
  invalid: status.INVALID_ARGUMENT,
  'not-found': status.NOT_FOUND,
  conflict: status.FAILED_PRECONDITION,
  denied: status.PERMISSION_DENIED,
  busy: status.UNAVAILABLE,
  'disk-full': status.RESOURCE_EXHAUSTED,
  unsupported: status.UNIMPLEMENTED,
  stale: status.ABORTED,
  'not-yet': status.UNIMPLEMENTED,
  limit: status.RESOURCE_EXHAUSTED,
};

/** What a server answers instead of a response. */
export interface StatusAnswer {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;
}

/** A refusal as a gRPC status. */
export function statusFromRefusal(refusal: Refusal): StatusAnswer {
  const metadata = new Metadata();
  metadata.set(codeKey, refusal.code);
  return { code: statusOf[refusal.code], details: cutOff(refusal.message), metadata };
}

/** Anything a handler threw as a gRPC status: refusals keep their code, the rest is `INTERNAL`. */
export function statusFromError(error: unknown): StatusAnswer {
  if (error instanceof RefusedError) return statusFromRefusal(error.refusal);
  return { code: status.INTERNAL, details: cutOff(messageOf(error)), metadata: new Metadata() };
}

/**
 * On the caller's side: a refusal as `RefusedError`; a failed handshake as `Fault` with `strangerCode` and a sentence for
 * people; anything else as `Fault` with gRPC's name of the status as code.
 */
export function errorFromStatus(error: ServiceError): RefusedError | Fault {
  const [code] = error.metadata?.get(codeKey) ?? [];
  if (isRefusalCode(code)) return new RefusedError(refused(code, error.details));
  const trouble = error.code === status.UNAVAILABLE ? tlsTrouble(error.details) : undefined;
  if (trouble !== undefined) return new Fault(strangerCode, trouble, { cause: error });
  return new Fault(status[error.code] ?? 'UNKNOWN', error.details || error.message, { cause: error });
}

function isRefusalCode(code: unknown): code is RefusalCode {
  return typeof code === 'string' && Object.hasOwn(statusOf, code);
}
