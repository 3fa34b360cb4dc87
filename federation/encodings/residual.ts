import { encodeHeader, parseHeader } from '../tensors/header';
import type { TensorLayout } from '../tensors/layout';
import type { EncodedTensor } from './encoded-layout';

/** What top-k leaves for later rounds: a float32 tensor for each tensor that is encoded, by its name and in its shape. */
export function residualLayout(tensors: readonly EncodedTensor[]): TensorLayout {
  const specs = tensors
    .filter(({ treatment }) => treatment === 'encode')
    .map(({ tensor: { name, shape } }) => ({ name, dtype: 'F32' as const, shape }));
  return parseHeader(encodeHeader(specs), { name: 'header of a residual' });
}
