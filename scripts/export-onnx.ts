import path from 'node:path';
import { writeFileDurably } from '../base/durable-file';
import { readModel } from '../training/engine/model-file';
import { aiaaConfigOf, exportOnnx } from '../training/engine/onnx-export';

/** `export-onnx MODEL.safetensors FOLDER [VERSION]`: writes model.onnx and the config_aiaa.json that goes with it. */
async function main([file, folder, version = '1']: readonly string[]): Promise<void> {
  const model = await readModel(file);
  await writeFileDurably(path.join(folder, 'model.onnx'), exportOnnx(model));
  await writeFileDurably(
    path.join(folder, 'config_aiaa.json'),
    `${JSON.stringify(aiaaConfigOf(model.card, version), null, 2)}\n`,
  );
}

main(process.argv.slice(2)).catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
