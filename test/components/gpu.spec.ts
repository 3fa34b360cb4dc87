import assert from 'node:assert/strict';
import { containerMemory, GPU_FAMILY_NAMES, gpuFamily } from '../../components/gpu/gpu-families';
import { nodeUserData } from '../../components/gpu/user-data';

describe('GPU families', () => {
  it('default to none that is legacy, and p3 says why it is', () => {
    for (const name of GPU_FAMILY_NAMES) assert.equal(gpuFamily(name).legacy !== undefined, name === 'p3', name);
    assert.match(gpuFamily('p3').legacy!, /CUDA 13/);
  });

  it('say which quota of the account must be raised first', () => {
    for (const name of GPU_FAMILY_NAMES) {
      const letter = name[0].toUpperCase();
      assert.match(gpuFamily(name).quota, new RegExp(`^Running On-Demand ${letter}\\b`), name);
    }
  });

  it('leave room for the system beside a container', () => {
    for (const name of GPU_FAMILY_NAMES) {
      const { memory, vram } = gpuFamily(name);
      assert.ok(containerMemory(name) < memory * 1024 && containerMemory(name) > vram * 1024, name);
    }
  });

  it('have instances that join the cluster with GPU support, and tasks that do not get the credentials of the instance', () => {
    const lines = nodeUserData({ clusterName: 'cluster-1' }).split('\n');
    for (const line of ['ECS_CLUSTER=cluster-1', 'ECS_ENABLE_GPU_SUPPORT=true', 'ECS_AWSVPC_BLOCK_IMDS=true']) {
      assert.ok(lines.includes(line), line);
    }
  });
});
