/**
 * GPU instance families that a site can use. ECS counts GPUs and knows nothing of their memory, so each family is a
 * capacity provider of its own, and a task is placed by naming the family. Figures are AWS's ("Amazon EC2 accelerated
 * computing instances"); a family has one instance type here, the smallest with a whole GPU and room for a CT volume.
 */
export interface GpuFamily {
  readonly instanceType: string;
  readonly gpu: string;
  readonly gpus: number;
  /** GiB a GPU. */
  readonly vram: number;
  readonly vcpus: number;
  /** GiB of the instance. */
  readonly memory: number;
  /** Public SSM parameter of the newest ECS-optimised image that has a driver for this GPU. */
  readonly imageParameter: string;
  /** Service Quotas name of the limit, which counts vCPUs and starts near zero in a new account. */
  readonly quota: string;
  /** Why it should not be chosen; shown as a warning. */
  readonly legacy?: string;
}

const AL2023 = '/aws/service/ecs/optimized-ami/amazon-linux-2023/gpu/recommended/image_id';
const AL2 = '/aws/service/ecs/optimized-ami/amazon-linux-2/gpu/recommended/image_id';
const G_QUOTA = 'Running On-Demand G and VT instances';
const P_QUOTA = 'Running On-Demand P instances';

export const GPU_FAMILIES = {
  g5: {
    instanceType: 'g5.2xlarge',
    gpu: 'NVIDIA A10G',
    gpus: 1,
    vram: 24,
    vcpus: 8,
    memory: 32,
    imageParameter: AL2023,
    quota: G_QUOTA,
  },
  g6: {
    instanceType: 'g6.2xlarge',
    gpu: 'NVIDIA L4',
    gpus: 1,
    vram: 24,
    vcpus: 8,
    memory: 32,
    imageParameter: AL2023,
    quota: G_QUOTA,
  },
  g6e: {
    instanceType: 'g6e.2xlarge',
    gpu: 'NVIDIA L40S',
    gpus: 1,
    vram: 48,
    vcpus: 8,
    memory: 64,
    imageParameter: AL2023,
    quota: G_QUOTA,
  },
  p3: {
    instanceType: 'p3.2xlarge',
    gpu: 'NVIDIA V100',
    gpus: 1,
    vram: 16,
    vcpus: 8,
    memory: 61,
    imageParameter: AL2,
    quota: P_QUOTA,
    legacy:
      "the V100 of p3 is refused by today's open kernel modules and by CUDA 13, so it stays on the Amazon Linux 2 image, which ends; choose g5, g6 or g6e",
  },
} as const satisfies Readonly<Record<string, GpuFamily>>;

export type GpuFamilyName = keyof typeof GPU_FAMILIES;
export const GPU_FAMILY_NAMES = Object.keys(GPU_FAMILIES) as GpuFamilyName[];

/** The family as a value of the common type: the table's own type knows which entries lack `legacy`. */
export function gpuFamily(name: GpuFamilyName): GpuFamily {
  return GPU_FAMILIES[name];
}

/**
 * MiB that a container may have on an instance of a family that it has for itself: the instance's memory without the 3 GiB of the
 * operating system, the ECS agent and the driver.
 */
export function containerMemory(name: GpuFamilyName): number {
  return (GPU_FAMILIES[name].memory - 3) * 1024;
}
