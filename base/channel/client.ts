import {
  type ChannelCredentials,
  type ChannelOptions,
  type Client,
  type ClientUnaryCall,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { systemClock } from '../clock.ts';
import { RefusedError } from '../errors.ts';
import { serverName } from '../pki/subject.ts';
import { formatAddress, plainProblem } from './address.ts';
import { channelCredentials, type Endpoint } from './credentials.ts';
import { bulkWindowBytes, callDeadlineMs, messageMaxBytes, pingEveryMs, pingWaitMs } from './limits.ts';
import { errorFromStatus } from './refusals.ts';

type ClientConstructor<C extends Client> = new (
  address: string,
  security: ChannelCredentials,
  options: ChannelOptions,
) => C;

/**
 * Opens a client on a connection of its own. `bulk` is for transfers: a wide window, so that a long file does not wait
 * for acknowledgements; `control` for everything else. Throws `RefusedError` rather than speak in plain text on a
 * network. Close it with `client.close()`.
 */
export function openClient<C extends Client>(
  make: ClientConstructor<C>,
  endpoint: Endpoint,
  use: 'control' | 'bulk',
): C {
  return new make(formatAddress(endpoint), securityOf(endpoint), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.max_receive_message_length': messageMaxBytes,
    'grpc.max_send_message_length': messageMaxBytes,
    'grpc.keepalive_time_ms': pingEveryMs,
    'grpc.keepalive_timeout_ms': pingWaitMs,
    'grpc.enable_retries': 0,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 2_000,
    // Names of machines prove nothing here: the head is known by its certificate.
    ...(endpoint.credentials ? { 'grpc.ssl_target_name_override': serverName } : {}),
    // A Unix socket has no authority of its own, and the default (its path) is not a legal one.
    ...(endpoint.kind === 'unix' ? { 'grpc.default_authority': 'localhost' } : {}),
    ...(use === 'bulk' ? { 'grpc-node.flow_control_window': bulkWindowBytes } : {}),
  });
}

function securityOf(endpoint: Endpoint): ChannelCredentials {
  if (endpoint.credentials) return channelCredentials(endpoint.credentials);
  const problem = plainProblem(endpoint);
  if (problem) throw new RefusedError(problem);
  return credentials.createInsecure();
}

type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: { deadline: number },
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

/** How one call is made. */
export interface CallOptions {
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
  readonly metadata?: Metadata;
}

/** Makes a unary call. A refusal arrives as `RefusedError`, anything else that goes wrong as `Fault`. */
export function call<Request, Response>(
  client: Client,
  method: UnaryMethod<Request, Response>,
  request: Request,
  options: CallOptions = {},
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const deadline = systemClock.nowMs() + (options.deadlineMs ?? callDeadlineMs);
    const metadata = options.metadata ?? new Metadata();
    const running = method.call(client, request, metadata, { deadline }, (error, response) => {
      options.signal?.removeEventListener('abort', abort);
      if (error) reject(errorFromStatus(error));
      else resolve(response);
    });
    const abort = () => running.cancel();
    if (options.signal?.aborted) abort();
    else options.signal?.addEventListener('abort', abort, { once: true });
  });
}
