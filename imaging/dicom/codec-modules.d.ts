/** The decoders of @cornerstonejs, WebAssembly with Emscripten's bindings, which come without types. */

interface CornerstoneDecoder {
  /** Room for the coded bytes in the decoder's memory. */
  getEncodedBuffer(length: number): Uint8Array;
  decode(): unknown;
  getDecodedBuffer(): Uint8Array;
  getFrameInfo(): { width: number; height: number; bitsPerSample: number; componentCount: number; isSigned?: boolean };
  delete(): void;
}

interface CornerstoneModule {
  readonly J2KDecoder: new () => CornerstoneDecoder;
  readonly JpegLSDecoder: new () => CornerstoneDecoder;
  readonly JPEGDecoder: new () => CornerstoneDecoder;
}

type CornerstoneFactory = (options?: object) => Promise<CornerstoneModule>;

declare module '@cornerstonejs/codec-openjpeg/decodewasmjs' {
  const make: CornerstoneFactory;
  export default make;
}
declare module '@cornerstonejs/codec-charls/decodewasmjs' {
  const make: CornerstoneFactory;
  export default make;
}
declare module '@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs' {
  const make: CornerstoneFactory;
  export default make;
}
