import { asClusterId, asNodeId, type ClusterId, type NodeId } from '../ids.ts';
import { nameProblem } from '../names.ts';

/** Whom a certificate speaks for, within one cluster. */
export type Subject =
  | { readonly kind: 'head'; readonly clusterId: ClusterId }
  | { readonly kind: 'node'; readonly clusterId: ClusterId; readonly nodeId: NodeId }
  | { readonly kind: 'user'; readonly clusterId: ClusterId; readonly name: string };

/** The name every head's certificate has, wherever it runs: what names it is the URI beside. */
export const serverName = 'labrun';

/** The subject as the one URI among a certificate's alternative names: `labrun://<cluster>/user/ada`. */
export function subjectUri(subject: Subject): string {
  const base = `labrun://${subject.clusterId}`;
  switch (subject.kind) {
    case 'head':
      return `${base}/head`;
    case 'node':
      return `${base}/node/${subject.nodeId}`;
    default:
      return `${base}/user/${encodeURIComponent(subject.name)}`;
  }
}

/** Reads what `subjectUri` wrote; nothing when it is none of ours. */
export function readSubject(uri: string): Subject | undefined {
  const match = /^labrun:\/\/([^/]+)\/(head|node|user)(?:\/([^/]+))?$/.exec(uri);
  const clusterId = asClusterId(match?.[1] ?? '');
  if (!match || !clusterId) return undefined;
  const name = match[3] === undefined ? '' : plain(match[3]);
  if (match[2] === 'head') return name === '' ? { kind: 'head', clusterId } : undefined;
  if (match[2] === 'user') return nameProblem(name) ? undefined : { kind: 'user', clusterId, name };
  const nodeId = asNodeId(name);
  return nodeId && { kind: 'node', clusterId, nodeId };
}

/** Text that is no encoding is no name either. */
function plain(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return '';
  }
}
