import { isText } from '../properties';
import type { ResourceRule } from '../rule';

/** Families whose GPUs today's drivers leave behind, and what happens. */
const LEGACY: Readonly<Record<string, string>> = {
  p2: 'the K80 has no driver any more',
  p3: "the V100 is refused by today's open kernel modules and by CUDA 13",
};

export const gpuFamilies: ResourceRule = {
  name: 'gpu-families',
  rule: "A GPU that today's drivers leave behind is a choice to give up.",
  level: 'advisory',
  *check({ type, props }) {
    if (type !== 'aws:ec2/launchTemplate:LaunchTemplate' && type !== 'aws:ec2/instance:Instance') return;
    const { instanceType } = props;
    const [family] = isText(instanceType) ? instanceType.split(/(?:dn)?\./) : [];
    const reason = LEGACY[family ?? ''];
    if (reason !== undefined) {
      yield { field: 'instanceType', value: instanceType, wayOut: `choose g5, g6 or g6e; ${reason}` };
    }
  },
};
