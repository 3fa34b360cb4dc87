import { type JavaScriptValue, Struct } from 'google-protobuf/google/protobuf/struct_pb';
import type { Properties } from '../property-values';

/** Property values in the engine's messages. */
export function properties(values: Struct | undefined): Properties {
  return values?.toJavaScript() ?? {};
}

export function struct(values: Properties): Struct {
  return Struct.fromJavaScript(values as Record<string, JavaScriptValue>);
}
