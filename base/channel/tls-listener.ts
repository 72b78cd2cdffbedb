import type { Socket } from 'node:net';
import { createServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import { type Server, ServerCredentials } from '@grpc/grpc-js';
import type { Clock } from '../clock.ts';
import { Fault } from '../errors.ts';
import { type Certificate, readCertificate } from '../pki/certificate.ts';
import { type Address, formatAddress } from './address.ts';
import { connectionsMax, connectionsPerAddressMax, handshakeMs } from './limits.ts';

/** What a server shows, and whom it believes. All PEM. */
export interface ServerIdentity {
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly authorityPem: string;
}

/** Who is at the other end of a connection: what TLS found out. */
export interface Peer {
  /** Of this cluster's authority, within its dates; nothing when none was shown, or `problem` says what was wrong. */
  readonly certificate: Certificate | undefined;
  /** TLS's code for why the certificate is not believed, such as `CERT_HAS_EXPIRED`; nothing when none was shown. */
  readonly problem: string | undefined;
  readonly remoteAddress: string;
}

/** A TLS door in front of a gRPC server. */
export interface TlsListener {
  readonly address: Address;
  /** Who made a call, by its `getPeer()`; nothing when the connection is gone. */
  peerOf(peer: string): Peer | undefined;
  /** Cuts every connection whose peer is meant. */
  cut(isMeant: (peer: Peer) => boolean): void;
  /** Shows a new certificate from the next connection on. */
  renew(identity: ServerIdentity): void;
  /** Ends it and every connection; end the gRPC server first, so that calls get their moment. */
  close(): Promise<void>;
}

/**
 * Listens for TLS 1.3 and hands connections to a gRPC server. A certificate is asked for and not demanded, because who
 * joins has none yet and who was turned away should hear why: whether a call is allowed is decided where it arrives.
 * A connection lives as long as its certificate at most: who has renewed that dials again.
 */
export async function listenTls(
  server: Server,
  address: Address & { readonly kind: 'tcp' },
  identity: ServerIdentity,
  clock: Clock,
): Promise<TlsListener> {
  const peers = new Map<string, { readonly peer: Peer; readonly socket: TLSSocket }>();
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const tls = createServer({
    ...contextOf(identity),
    minVersion: 'TLSv1.3',
    requestCert: true,
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
    handshakeTimeout: handshakeMs,
  });
  limitConnections(tls);
  tls.on('tlsClientError', (_error, socket) => socket.destroy());
  tls.on('secureConnection', (socket) => {
    const key = `${socket.remoteAddress}:${socket.remotePort}`;
    const peer = peerAt(socket);
    peers.set(key, { peer, socket });
    socket.once('close', () => peers.delete(key));
    if (peer.certificate) cutAtEnd(socket, peer.certificate.notAfterMs, clock);
    // A connection that breaks is an ordinary end, and its calls hear of it.
    socket.on('error', () => socket.destroy());
    injector.injectConnection(socket);
  });
  const port = await listening(tls, address);
  return {
    address: { ...address, port },
    peerOf: (peer) => peers.get(peer)?.peer,
    cut(isMeant) {
      for (const { peer, socket } of peers.values()) if (isMeant(peer)) socket.destroy();
    },
    renew: (renewed) => tls.setSecureContext(contextOf(renewed)),
    close: () =>
      new Promise((resolve) => {
        tls.close(() => resolve());
        for (const { socket } of peers.values()) socket.destroy();
      }),
  };
}

/** Longest wait of a timer, in milliseconds: a day, for a wall clock may be set meanwhile. */
const waitMaxMs = 24 * 3_600_000;

/** Cuts a connection when its certificate ends. */
function cutAtEnd(socket: TLSSocket, notAfterMs: number, clock: Clock): void {
  const leftMs = notAfterMs - clock.nowMs();
  if (leftMs <= 0) return void socket.destroy();
  const timer = clock.setTimer(Math.min(leftMs, waitMaxMs), () => {
    socket.off('close', cancel);
    if (!socket.destroyed) cutAtEnd(socket, notAfterMs, clock);
  });
  const cancel = () => timer.cancel();
  socket.once('close', cancel);
}

function contextOf({ certificatePem, keyPem, authorityPem }: ServerIdentity) {
  // The authority goes along: who joins knows only its fingerprint.
  return { cert: certificatePem + authorityPem, key: keyPem, ca: authorityPem };
}

function peerAt(socket: TLSSocket): Peer {
  const { raw }: { readonly raw?: Buffer } = socket.getPeerCertificate();
  const remoteAddress = socket.remoteAddress ?? '';
  if (raw === undefined) return { certificate: undefined, problem: undefined, remoteAddress };
  const certificate = socket.authorized ? readCertificate(raw) : undefined;
  const why = socket.authorized ? 'it is none of labrun' : String(socket.authorizationError);
  return { certificate, problem: certificate ? undefined : why, remoteAddress };
}

/** Connections that are too many are cut before they cost a handshake. */
function limitConnections(tls: TlsServer): void {
  const byAddress = new Map<string, number>();
  let all = 0;
  tls.prependListener('connection', (socket: Socket) => {
    const from = socket.remoteAddress ?? '';
    const there = byAddress.get(from) ?? 0;
    if (all >= connectionsMax || there >= connectionsPerAddressMax) return void socket.destroy();
    all += 1;
    byAddress.set(from, there + 1);
    socket.once('close', () => {
      all -= 1;
      const left = (byAddress.get(from) ?? 1) - 1;
      if (left > 0) byAddress.set(from, left);
      else byAddress.delete(from);
    });
  });
}

function listening(tls: TlsServer, address: Address & { readonly kind: 'tcp' }): Promise<number> {
  return new Promise((resolve, reject) => {
    tls.once('error', (error) =>
      reject(new Fault('listen', `Cannot listen on ${formatAddress(address)}: ${error.message}`, { cause: error })),
    );
    tls.listen({ host: address.host, port: address.port }, () => {
      const bound = tls.address();
      resolve(typeof bound === 'object' && bound !== null ? bound.port : address.port);
    });
  });
}
