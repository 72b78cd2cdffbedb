import type { Chance } from '../chance.ts';
import type { FieldShape } from './shapes.ts';
import type { Value } from './tree.ts';

/** What a field of this name may hold in a request that makes sense. `$` names something of the world. */
const sensible: Readonly<Record<string, readonly string[]>> = {
  namespace: ['ada', 'ada', 'ada', 'eve', 'root', 'ADA'],
  batch: ['$batch', '$batch', 'done', 'secret', '$batchId', 'b', ''],
  batch_id: ['$batchId', '$batchId', '$doneId', '$freshId', 'folder:ada/foreign'],
  name: ['spare', '$batch', 'python', 'x', 'eve'],
  job: ['', 'j', 'j_i-1', 'j*', '*', 'sub', '[a-z]*'],
  states: ['queued', 'running', 'failed', 'succeeded'],
  reasons: ['exit', 'oom', 'disk-full', 'time-limit'],
  axis: ['i', '__proto__'],
  value: ['1', '2'],
  node: ['spare', 'n1', '$nodeId'],
  node_name: ['n1', 'spare', 'n3'],
  node_id: ['$nodeId', '$freshId'],
  build_node: ['n1', 'spare', '../../../done/.labrun/build-n1'],
  cluster_id: ['$clusterId', '$clusterId', '$freshId', ''],
  user: ['ada', 'spare'],
  user_name: ['spare', 'zoe'],
  owner: ['ada', 'spare', ''],
  token_id: ['$tokenId', '$nodeTokenId'],
  secret: ['$tokenSecret', '$nodeTokenSecret'],
  id: ['$tokenId', 'a', ''],
  request_pem: ['$requestPem'],
  hash: ['$specHash', '$blobHash', '$emptyHash', '$freshHash'],
  hashes: ['$specHash', '$blobHash', '$freshHash'],
  spec_hash: ['$specHash', '$blobHash', '$badSpecHash'],
  source_hash: ['', '$blobHash', '$freshHash'],
  manifest_hash: ['$manifestHash', '$blobHash', '$emptyHash'],
  final_hash: ['', '', '$blobHash', '$emptyHash', '$manifestHash'],
  path: [
    'log',
    'manifest',
    'archive/out.txt',
    'archive/a/b',
    'out.txt',
    '.labrun/log',
    '.labrun/manifest',
    'archive/out.txt/x',
  ],
  include: ['out', '.*', '[a-z]+$'],
  exclude: ['log$', '(a|a)*Z'],
  page_token: ['', '$batchId'],
  state: ['succeeded', 'failed', 'cancelled'],
  reason: ['exit', 'oom', ''],
  returned_reason: ['recalled', 'build-failed'],
  build_digest: ['$freshHash', 'd', ''],
  features: ['runtime.command'],
};

const hostileTexts: readonly string[] = [
  ...[
    '',
    ' ',
    '.',
    '..',
    '../../etc/passwd',
    '/etc/passwd',
    'a/../b',
    'a//b',
    'a\0b',
    '\n',
    '\x1b[31m',
    '__proto__',
    'constructor',
  ],
  ...[
    'toString',
    '\u202e',
    '\u{1f600}',
    '\ufffd',
    'CON',
    '.labrun',
    '.staging',
    '%s%n',
    '*'.repeat(9),
    '[',
    '{a,b}',
    '(',
    '!(a)',
  ],
  ...[
    'a'.repeat(121),
    'a'.repeat(256),
    'x/'.repeat(500),
    `archive/${'n'.repeat(300)}`,
    'é'.repeat(100),
    'z'.repeat(300_000),
  ],
  ...[
    '-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----',
    'blake3:',
    `blake3:${'0'.repeat(64)}`,
  ],
];

/** No UTF-8: a lone continuation, an unpaired surrogate, an overlong slash, a cut-off sequence. */
const hostileBytes: readonly string[] = ['80', 'eda080', 'c0af', 'f09f98', 'ff', '00', '61620063'];

const edges: readonly bigint[] = [
  ...[
    0n,
    1n,
    2n,
    127n,
    128n,
    255n,
    65_536n,
    9_999_999n,
    10_000_000n,
    10_000_001n,
    2n ** 31n - 1n,
    2n ** 31n,
    2n ** 32n - 1n,
    2n ** 32n,
  ],
  ...[
    2n ** 40n,
    2n ** 40n + 1n,
    2n ** 53n - 1n,
    2n ** 53n,
    2n ** 53n + 1n,
    2n ** 62n,
    2n ** 63n - 1n,
    2n ** 63n,
    2n ** 64n - 1n,
    -1n,
    -(2n ** 31n),
    -(2n ** 53n),
  ],
];

const contents: readonly Uint8Array[] = ['', 'x', 'hello\n', '{"path":"a"}\n', '\0'.repeat(100)].map((text) =>
  Buffer.from(text),
);

/** A value for a field that is no message: twice of three times one that makes sense there. */
export function leafValue(field: FieldShape, chance: Chance): Value {
  const sane = chance.below(3) > 0;
  switch (field.type) {
    case 'TYPE_STRING':
      return textValue(sane ? sensible[field.name] : undefined, chance);
    case 'TYPE_BYTES':
      if (chance.below(4) === 0) return { ref: chance.pick(['manifest', 'blob', 'spec']) };
      if (chance.below(50) === 0) return { bytes: Buffer.alloc(2 ** (10 + chance.below(13)), 'a').toString('base64') };
      return { bytes: Buffer.from(chance.pick(contents)).toString('base64') };
    case 'TYPE_BOOL':
      return { number: String(chance.below(2)) };
    default:
      return {
        number: String(sane ? chance.below(4) : chance.below(3) === 0 ? chance.below(2 ** 30) : chance.pick(edges)),
      };
  }
}

/** Anything, for a field that was to hold something else. */
export function wildValue(chance: Chance): Value {
  if (chance.below(2) === 0) return { number: String(chance.pick(edges)) };
  return textValue(undefined, chance);
}

function textValue(among: readonly string[] | undefined, chance: Chance): Value {
  if (!among && chance.below(4) === 0) {
    return { bytes: Buffer.from(chance.pick(hostileBytes), 'hex').toString('base64') };
  }
  const text = chance.pick(among ?? hostileTexts);
  return text.startsWith('$') ? { ref: text.slice(1) } : { text };
}
