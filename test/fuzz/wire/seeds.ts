import type { CallerName, Plan } from './plan.ts';
import type { Shapes } from './shapes.ts';
import { treeOf } from './tree.ts';

const fence = { cluster_id: '$clusterId', batch_id: '$batchId', index: 0, attempt: 1 };
const done = { selector: { namespace: 'ada', batch: 'done' } };
const doneJob = { selector: { ...done.selector, job: 'j_i-1' } };
const busyJobs = { selector: { namespace: 'ada', batch: '$batch', job: 'j_i-3' } };
const total = { cpus: 4_096, memory_bytes: 1_000_000, disk_bytes: 1_000_000 };
const inventory = { capabilities: [{ name: 'python', version: '3.11' }], total, os: 'linux', tracking: 'session' };
const hello = { hello: { protocol_min: 1, protocol_max: 1, node_id: '$nodeId', node_name: 'n1', inventory } };
const submit = { batch_id: '$freshId', namespace: 'ada', name: 'extra', spec_hash: '$extraHash' };
const blob = { namespace: 'ada', hash: '$blobHash', size: 18, data: '$blob' };
const outcome = { state: 'succeeded', exit_code: 0, ran_ms: 5 };
const ending = { manifest_hash: '$manifestHash', started_ms_ago: 5, ended_ms_ago: 1, outcome };
const staged = { attempt: fence, truncate: 1 };
const delta = (...changes: readonly object[]) => ({ delta: { seq: 1, changes } });
const report = (phase: number, more: object = {}) => ({ attempt: { fence, phase, ...more } });

/** Calls that an honest caller would make: what is behind the first checks, chance alone would take long to reach. */
const honest: readonly (readonly [path: string, request: string, caller: CallerName, ...messages: object[]])[] = [
  [
    'Access/Enrol',
    'EnrolRequest',
    'nobody',
    { token_id: '$tokenId', secret: '$tokenSecret', request_pem: '$requestPem' },
  ],
  [
    'Access/Enrol',
    'EnrolRequest',
    'nobody',
    {
      token_id: '$nodeTokenId',
      secret: '$nodeTokenSecret',
      request_pem: '$requestPem',
      node_id: '$freshId',
      node_name: 'n9',
      owner: 'ada',
    },
  ],
  ['Access/Renew', 'RenewRequest', 'ada', { request_pem: '$requestPem' }],
  ['Access/Renew', 'RenewRequest', 'node', { request_pem: '$requestPem' }],
  ['Access/CreateToken', 'CreateTokenRequest', 'admin', { user_name: 'spare', uses: 2, expires_ms: 100_000 }],
  ['Access/CreateToken', 'CreateTokenRequest', 'admin', { node: 1, owner: 'ada' }],
  ['Access/ShareNamespace', 'ShareNamespaceRequest', 'ada', { namespace: 'ada', user: 'spare', shared: 1 }],
  ['Access/SetNamespace', 'SetNamespaceRequest', 'eve', { namespace: 'eve', readable: 0 }],
  ['Access/SetNodeOwner', 'SetNodeOwnerRequest', 'admin', { node: 'n1', owner: 'ada' }],
  ['Access/WhoAmI', 'WhoAmIRequest', 'node', {}],
  ['Access/ListTokens', 'ListTokensRequest', 'admin', {}],
  ['Access/RevokeToken', 'RevokeTokenRequest', 'admin', { id: '$tokenId' }],
  ['Access/ListUsers', 'ListUsersRequest', 'admin', {}],
  ['Access/RemoveUser', 'RemoveUserRequest', 'admin', { name: 'spare' }],
  ['Access/RemoveNode', 'RemoveNodeRequest', 'admin', { node: 'spare' }],
  ['Access/ListNamespaces', 'ListNamespacesRequest', 'ada', {}],
  ['Access/Audit', 'AuditRequest', 'admin', { since: 0 }],
  ['AgentLink/Link', 'AgentMessage', 'node', hello],
  ['AgentLink/Link', 'AgentMessage', 'node', hello, delta({ inventory }), { acknowledged: 1 }, { heartbeat: {} }],
  ['AgentLink/Link', 'AgentMessage', 'node', hello, delta(report(6, { started_ms_ago: 5 }))],
  ['AgentLink/Link', 'AgentMessage', 'node', hello, delta(report(7, ending))],
  [
    'AgentLink/Link',
    'AgentMessage',
    'node',
    hello,
    delta(
      report(7, {
        ...ending,
        inline_archive: {
          manifest: '$manifest',
          files: [
            { path: 'log', data: 'said\n' },
            { path: 'archive/out.txt', data: 'result\n' },
          ],
        },
      }),
    ),
  ],
  ['AgentLink/Link', 'AgentMessage', 'local-node', hello, delta(report(8, { returned_reason: 'recalled' }))],
  [
    'AgentLink/Link',
    'AgentMessage',
    'node',
    hello,
    delta(report(10)),
    delta({ build: { build_digest: 'd', state: 2 } }),
  ],
  [
    'Archive/Put',
    'ArchiveChunk',
    'node',
    { ...staged, path: 'log', data: 'said\n' },
    { attempt: fence, path: 'log', offset: 5, data: 'x' },
  ],
  [
    'Archive/Put',
    'ArchiveChunk',
    'node',
    { ...staged, path: 'archive/out.txt', final_hash: '$blobHash', data: '$blob' },
  ],
  [
    'Archive/Put',
    'ArchiveChunk',
    'node',
    { ...staged, path: 'manifest', final_hash: '$manifestHash', data: '$manifest' },
  ],
  ['Archive/Put', 'ArchiveChunk', 'node', { build: { batch_id: '$batchId' }, data: 'built\n', truncate: 1 }],
  ['Archive/Staged', 'StagedRequest', 'node', { attempt: fence }],
  ['Archive/List', 'ListFilesRequest', 'ada', { ...done, include: ['out'] }],
  [
    'Archive/Read',
    'ReadFilesRequest',
    'ada',
    {
      batch_id: '$doneId',
      files: [
        { job: 'j_i-1', path: 'out.txt' },
        { job: 'j_i-2', path: 'sub/a', offset: 1 },
      ],
    },
  ],
  ['Archive/Log', 'LogRequest', 'ada', doneJob],
  ['Archive/Log', 'LogRequest', 'ada', { ...done, build_node: 'n1' }],
  ['Archive/Log', 'LogRequest', 'ada', { selector: { namespace: 'ada', batch: '$batch', job: 'j_i-1' }, follow: 1 }],
  ['Batches/Submit', 'SubmitRequest', 'ada', { ...submit, mode: 1 }],
  ['Batches/Submit', 'SubmitRequest', 'ada', { ...submit, mode: 2 }],
  ['Batches/Submit', 'SubmitRequest', 'ada', { ...submit, mode: 4 }],
  ['Batches/List', 'ListBatchesRequest', 'eve', { all: 1 }],
  ['Batches/Get', 'GetBatchRequest', 'ada', done],
  [
    'Batches/Jobs',
    'JobsRequest',
    'ada',
    { selector: { namespace: 'ada', batch: 'done', job: 'j*', where: [{ axis: 'i', value: '1' }] } },
  ],
  ['Batches/Watch', 'GetBatchRequest', 'ada', done],
  ['Batches/Cancel', 'ChangeJobsRequest', 'ada', busyJobs],
  ['Batches/Hold', 'ChangeJobsRequest', 'ada', busyJobs],
  ['Batches/Release', 'ChangeJobsRequest', 'ada', busyJobs],
  ['Batches/Retry', 'ChangeJobsRequest', 'ada', doneJob],
  ['Batches/Explain', 'ChangeJobsRequest', 'ada', busyJobs],
  ['Blobs/Missing', 'MissingRequest', 'ada', { namespace: 'ada', hashes: ['$blobHash', '$freshHash'] }],
  ['Blobs/Put', 'PutBlobChunk', 'ada', blob],
  ['Blobs/Put', 'PutBlobChunk', 'ada', { ...blob, data: 'content' }, { offset: 7, data: ' of a blob\n' }],
  ['Blobs/Get', 'GetBlobRequest', 'ada', { namespace: 'ada', hash: '$blobHash' }],
  ['Blobs/Get', 'GetBlobRequest', 'node', { namespace: 'ada', hash: '$specHash' }],
  ['Events/Subscribe', 'SubscribeRequest', 'ada', { selector: { batch: 'done', job: 'j*' } }],
  ['Events/Subscribe', 'SubscribeRequest', 'eve', { follow: 1, selector: {} }],
  ['Nodes/List', 'ListNodesRequest', 'ada', {}],
];

/** The calls each method's corpus begins with. */
export function seedPlans(shapes: Shapes): readonly Plan[] {
  return honest.map(([path, request, caller, ...messages]) => ({
    path: `/labrun.v1.${path}`,
    caller,
    messages: messages.map((message) => ({ fields: treeOf(shapes, `.labrun.v1.${request}`, message) })),
    end: 'half-close',
    reads: true,
    deadlineMs: 1_000,
  }));
}
