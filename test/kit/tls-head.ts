import { join } from 'node:path';
import { readAddress } from '../../base/channel/address.ts';
import { callerMetadata } from '../../base/channel/caller.ts';
import { call, openClient } from '../../base/channel/client.ts';
import type { Endpoint } from '../../base/channel/credentials.ts';
import { findAuthority } from '../../base/channel/find-authority.ts';
import { type Clock, systemClock } from '../../base/clock.ts';
import { asNodeId, type NodeId, ulid } from '../../base/ids.ts';
import { makeKeyRequest } from '../../base/pki/request.ts';
import { readToken } from '../../base/pki/token.ts';
import { systemRandom } from '../../base/random.ts';
import { readHeadSettings } from '../../config/head.ts';
import { initDataFolder } from '../../head/data-folder.ts';
import { type OpenHead, openHead } from '../../head/open-head.ts';
import { AccessClient, type CreateTokenRequest, type EnrolRequest } from '../../proto/gen/labrun/v1/access.ts';

/** Somebody with a certificate, and where they are to use it. */
export interface Joined {
  readonly endpoint: Endpoint;
  readonly nodeId: NodeId;
}

/** A real head behind TLS on the loopback, its own socket, and those whom it has let in. */
export class TlsHead {
  readonly folder: string;
  readonly head: OpenHead;
  /** On the head's own socket: an admin. */
  readonly local: AccessClient;
  readonly metadata = callerMetadata({ kind: 'user', name: 'root' });

  private constructor(folder: string, head: OpenHead) {
    this.folder = folder;
    this.head = head;
    this.local = openClient(AccessClient, this.socket, 'control');
  }

  /** `clock`: the head's, for one that lives in the past. */
  static async open(folder: string, clock: Clock = systemClock): Promise<TlsHead> {
    await initDataFolder(folder, undefined, clock.nowMs(), systemRandom);
    const settings = await readHeadSettings(folder);
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const onFatal = (error: unknown) => {
      throw error;
    };
    const ports = { clock, random: systemRandom, log, onFatal };
    const address = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
    return new TlsHead(
      folder,
      await openHead({ dataFolder: folder, settings, address, plain: false, acceptLoss: false, ...ports }),
    );
  }

  get socket(): Endpoint {
    const address = readAddress(`unix:${join(this.folder, 'head.sock')}`);
    if (address.kind === 'refused') throw new Error(address.message);
    return address;
  }

  async token(over: Partial<CreateTokenRequest>): Promise<string> {
    const none = { node: false, userName: '', admin: false, expiresMs: 0n, uses: 0, owner: '' };
    const { token } = await call(this.local, this.local.createToken, { ...none, ...over }, { metadata: this.metadata });
    return token;
  }

  /** Joins with a token, as the CLI and the agent do. */
  async enrol(text: string, over: Partial<EnrolRequest> = {}): Promise<Joined> {
    const token = readToken(text);
    if (!token) throw new Error('the head makes proper tokens');
    const { authorityPem } = await findAuthority(this.head.address, token.fingerprint);
    const nodeId = aNodeId();
    const { keyPem, requestPem } = await makeKeyRequest();
    const client = openClient(AccessClient, { ...this.head.address, credentials: { authorityPem } }, 'control');
    try {
      const request = { tokenId: token.id, secret: token.secret, requestPem, nodeId, nodeName: '', owner: '', ...over };
      const { certificatePem } = await call(client, client.enrol, request);
      const credentials = { authorityPem, own: { certificatePem, keyPem } };
      return { endpoint: { ...this.head.address, credentials }, nodeId };
    } finally {
      client.close();
    }
  }

  async user(name: string, admin = false): Promise<Joined> {
    return await this.enrol(await this.token({ userName: name, admin }));
  }

  async node(name: string, owner = ''): Promise<Joined> {
    return await this.enrol(await this.token({ node: true, owner }), { nodeName: name });
  }

  /** Who believes this head and has no certificate of its own. */
  async nobody(): Promise<Endpoint> {
    const fingerprint = readToken(await this.token({ userName: 'nobody' }))?.fingerprint ?? '';
    const { authorityPem } = await findAuthority(this.head.address, fingerprint);
    return { ...this.head.address, credentials: { authorityPem } };
  }

  async close(): Promise<void> {
    this.local.close();
    await this.head.close();
  }
}

function aNodeId(): NodeId {
  const id = asNodeId(ulid(systemClock.nowMs(), systemRandom.bytes(10)));
  if (!id) throw new Error('ulid makes ids');
  return id;
}
