import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/**
 * Just enough of ONNX's protocol buffers (onnx/onnx.proto3) to write a network: field numbers and types below are from there.
 */

/** A tensor that the network brings along. */
export interface OnnxInitializer {
  readonly name: string;
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

export interface OnnxNode {
  readonly type: string;
  readonly inputs: readonly string[];
  readonly output: string;
  /** Numbers are floats where the key ends in `.f`, else integers. */
  readonly attributes?: Readonly<Record<string, number | string | readonly number[]>>;
}

/** A float tensor that goes in or comes out; a name in place of a size leaves it open. */
export interface OnnxValue {
  readonly name: string;
  readonly dims: readonly (number | string)[];
}

export interface OnnxGraph {
  readonly name: string;
  readonly input: OnnxValue;
  readonly output: OnnxValue;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxInitializer[];
}

const IR_VERSION = 8;
const OPSET = 17;
const FLOAT = 1;

/** The bytes of an .onnx file. */
export function encodeOnnx(graph: OnnxGraph): Uint8Array {
  const writer = new BinaryWriter();
  integer(writer, 1, IR_VERSION);
  text(writer, 2, 'clara-federation');
  message(writer, 7, (inner) => writeGraph(inner, graph));
  message(writer, 8, (inner) => integer(inner, 2, OPSET));
  return writer.finish();
}

function writeGraph(writer: BinaryWriter, { name, input, output, nodes, initializers }: OnnxGraph): void {
  for (const node of nodes) message(writer, 1, (inner) => writeNode(inner, node));
  text(writer, 2, name);
  for (const tensor of initializers) message(writer, 5, (inner) => writeTensor(inner, tensor));
  message(writer, 11, (inner) => writeValue(inner, input));
  message(writer, 12, (inner) => writeValue(inner, output));
}

function writeNode(writer: BinaryWriter, { type, inputs, output, attributes = {} }: OnnxNode): void {
  for (const input of inputs) text(writer, 1, input);
  text(writer, 2, output);
  text(writer, 3, output);
  text(writer, 4, type);
  for (const [name, value] of Object.entries(attributes))
    message(writer, 5, (inner) => writeAttribute(inner, name, value));
}

function writeAttribute(writer: BinaryWriter, key: string, value: number | string | readonly number[]): void {
  const isFloat = key.endsWith('.f');
  text(writer, 1, isFloat ? key.slice(0, -2) : key);
  if (typeof value === 'string') {
    text(writer, 4, value);
    integer(writer, 20, 3);
  } else if (typeof value === 'number' && isFloat) {
    writer.tag(2, WireType.Bit32).float(value);
    integer(writer, 20, 1);
  } else if (typeof value === 'number') {
    integer(writer, 3, value);
    integer(writer, 20, 2);
  } else {
    for (const one of value) integer(writer, 8, one);
    integer(writer, 20, 7);
  }
}

function writeTensor(writer: BinaryWriter, { name, dims, data }: OnnxInitializer): void {
  for (const size of dims) integer(writer, 1, size);
  integer(writer, 2, FLOAT);
  text(writer, 8, name);
  writer.tag(9, WireType.LengthDelimited).bytes(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

function writeValue(writer: BinaryWriter, { name, dims }: OnnxValue): void {
  text(writer, 1, name);
  const writeShape = (shape: BinaryWriter) => {
    for (const size of dims) {
      message(shape, 1, (dim) => (typeof size === 'number' ? integer(dim, 1, size) : text(dim, 2, size)));
    }
  };
  message(writer, 2, (type) =>
    message(type, 1, (tensor) => {
      integer(tensor, 1, FLOAT);
      message(tensor, 2, writeShape);
    }),
  );
}

function integer(writer: BinaryWriter, field: number, value: number): void {
  writer.tag(field, WireType.Varint).int64(value);
}

function text(writer: BinaryWriter, field: number, value: string): void {
  writer.tag(field, WireType.LengthDelimited).string(value);
}

function message(writer: BinaryWriter, field: number, write: (inner: BinaryWriter) => void): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  write(writer);
  writer.join();
}
