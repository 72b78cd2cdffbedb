import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** A field of a message, as the proto files define it. */
export interface FieldShape {
  readonly name: string;
  readonly at: number;
  /** Such as `TYPE_UINT64`. */
  readonly type: string;
  readonly repeated: boolean;
  /** Fields of one number exclude each other; nothing for those that stand alone. */
  readonly oneof: number | undefined;
  /** Of messages: which. */
  readonly message: string | undefined;
}

/** A method of the head, and how it is called. */
export interface MethodShape {
  /** As gRPC names it: `/labrun.v1.Batches/Get`. */
  readonly path: string;
  readonly request: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
}

/** Everything that crosses the wire. */
export interface Shapes {
  readonly methods: readonly MethodShape[];
  readonly messages: ReadonlyMap<string, readonly FieldShape[]>;
}

/** The package whose services the head serves. */
const served = 'labrun.v1';
/** Its one service that is an agent's own, on a socket of its machine. */
const unserved = 'Desk';

/** Reads the proto files themselves, so that a method that is added is fuzzed without a word here. */
export function readShapes(repository: string): Shapes {
  const buf = join(repository, 'node_modules/.bin/buf');
  const built = spawnSync(buf, ['build', '-o', '-#format=json'], {
    cwd: repository,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  if (built.status !== 0) throw new Error(`Cannot read the proto files: ${built.stderr}`);
  const { file } = JSON.parse(built.stdout) as { readonly file: readonly FileJson[] }; // the form that buf documents
  const messages = new Map<string, readonly FieldShape[]>();
  const files = file.filter((one) => one.package === served);
  for (const { messageType = [] } of files) for (const one of messageType) note(messages, `.${served}`, one);
  const services = files.flatMap(({ service = [] }) => service).filter(({ name }) => name !== unserved);
  const methods = services.flatMap(({ name, method }) =>
    method.map((one) => ({
      path: `/${served}.${name}/${one.name}`,
      request: one.inputType,
      requestStream: one.clientStreaming === true,
      responseStream: one.serverStreaming === true,
    })),
  );
  return { methods, messages };
}

interface FileJson {
  readonly package: string;
  readonly messageType?: readonly MessageJson[];
  readonly service?: readonly { readonly name: string; readonly method: readonly MethodJson[] }[];
}
interface MessageJson {
  readonly name: string;
  readonly field?: readonly FieldJson[];
  readonly nestedType?: readonly MessageJson[];
}
interface FieldJson {
  readonly name: string;
  readonly number: number;
  readonly type: string;
  readonly label: string;
  readonly oneofIndex?: number;
  readonly proto3Optional?: boolean;
  readonly typeName?: string;
}
interface MethodJson {
  readonly name: string;
  readonly inputType: string;
  readonly clientStreaming?: boolean;
  readonly serverStreaming?: boolean;
}

function note(into: Map<string, readonly FieldShape[]>, above: string, message: MessageJson): void {
  const name = `${above}.${message.name}`;
  for (const nested of message.nestedType ?? []) note(into, name, nested);
  into.set(
    name,
    (message.field ?? []).map((field) => ({
      name: field.name,
      at: field.number,
      type: field.type,
      repeated: field.label === 'LABEL_REPEATED',
      oneof: field.proto3Optional ? undefined : field.oneofIndex,
      message: field.type === 'TYPE_MESSAGE' ? field.typeName : undefined,
    })),
  );
}
